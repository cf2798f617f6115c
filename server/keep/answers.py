"""A reply, kept: once for the page, REST and MCP. An answer is worth more than its record."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from querywright.errors import QuerywrightError
from server.assistant import Reply
from server.keep.store import KeptEnough, Store
from server.metrics import Metrics

log = logging.getLogger("querywright.server")


@dataclass(frozen=True)
class Kept:
    """The id of a kept answer; None where it was not kept, and `why` in words for who asked."""

    id: int | None = None
    why: str = ""


def keep(
    store: Store | None, reply: Reply, *, source: str, client: str, conversation: str = "",
    metrics: Metrics | None = None,
) -> Kept:  # fmt: skip
    """Keep an answer; what fails is told, logged and counted, and costs nobody the answer.

    Args:
        store: None keeps nothing.
        source: `page`, `rest`, ...
        client, conversation: see `server.keep.entries.Answer`.
    """
    if store is None:
        return Kept(why="no answers are kept here")
    verdict = reply.verdict
    try:
        return Kept(
            store.add_answer(
                api=reply.choice.api, question=reply.question, turns=reply.turns, conversation=conversation,
                path=verdict.path, ok=verdict.ok, reason=verdict.reason, refused=verdict.refused,
                confidence=reply.confidence, ms=reply.ms, model=reply.model_id, config=reply.config_id, source=source,
                client=client,
            )
        )  # fmt: skip
    except KeptEnough as enough:  # no failure of ours, and nobody may fill the log with it
        why = f"{enough}; {enough.hint}"
    except QuerywrightError as error:
        log.error("an answer was not kept: %s", error)
        why = "the store failed"  # the error itself may name files
    if metrics is not None:
        metrics.unstored.inc()
    return Kept(why=why)
