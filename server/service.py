"""All APIs and models of one server: a sentence in; its call, what it means, whether it is valid, what it finds out.

The page, REST and MCP all ask here. An engine is opened once a model, whatever APIs and strategies it answers for.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from querywright.artefacts import content_id
from querywright.engines.base import Cancelled, Message, Progress
from querywright.errors import QuerywrightError, did_you_mean
from server import assistant
from server.assistant import Alternative, Choice, Hits, InputError, Reply, Served, Verdict, check, clean
from server.gate import Gate
from server.settings import Limits

STRATEGIES = ("tuned", "zero_shot", "rag")
DECODINGS = ("grammar", "grounded", "free")


class Writes(Protocol):
    """What `generate.batch.Session` is: writes the call for a sentence; `about` says on what its answers depend."""

    @property
    def about(self) -> dict[str, Any]: ...

    def answer(
        self, instruction: str, turns: Sequence[Message] = (), *, n: int | None = None,
        progress: Progress | None = None, max_tokens: int | None = None,
    ) -> Any: ...  # fmt: skip


@dataclass
class Model:
    """A model that answers: what is stored beside its answers (`id`), its door, and its engine's state if it has one
    (closed, open or half_open: see `engines.supervise`)."""

    name: str
    id: str
    gate: Gate
    engine: Any = None


class TooSlow(QuerywrightError):
    """An answer that did not come in time."""


class Service:
    """See the module. Thread-safe."""

    def __init__(
        self, apis: Mapping[str, Served], models: Mapping[str, Model], writer: Callable[[Choice], Writes],
        *, default: Choice, limits: Limits | None = None,
    ) -> None:  # fmt: skip
        """Args: `writer` opens what answers for a choice, once; `default` is who answers where nothing is chosen."""
        self.apis, self.models, self.default, self.limits = apis, models, default, limits or Limits()
        self._open = writer
        self._writers: dict[Choice, Writes] = {}
        self._opening = threading.Lock()

    def choice(
        self, api: object = None, model: object = None, strategy: object = None, decoding: object = None
    ) -> Choice:
        """Who answers, by names; None is the default.

        Raises:
            InputError: a name that is not served.
        """
        name = known("api", self.default.api if api is None else api, self.apis)
        # a model of one API is none of another's, unless it is said so
        own = self.apis[name].model
        return Choice(
            name,
            known("model", own if model is None else model, self.models),
            known("strategy", self.default.strategy if strategy is None else strategy, STRATEGIES),
            known("decoding", self.default.decoding if decoding is None else decoding, DECODINGS),
        )

    def ask(
        self,
        choice: Choice,
        sentence: object,
        *,
        turns: Sequence[Message] = (),
        n: int | None = None,
        run: bool = True,
        on_text: Callable[[str], None] | None = None,
        cancel: threading.Event | None = None,
        client: str = "",
        patient: bool = False,
        max_tokens: int | None = None,
    ) -> Reply:
        """Answer one sentence; blocks until it is answered.

        Args:
            turns: what was said before: sentences of the user and paths of the assistant, as chat messages.
            n: answers of the model to choose from, which are the reply's alternatives; each takes its time.
            run: whether to run the call on the records.
            on_text: is told what is written so far, in the thread that calls.
            cancel: when it is set, the answer is given up within a token.
            client, patient: see `gate.Gate.enter`.
            max_tokens: tokens after which the answer is cut off, if these are fewer than `limits.tokens`.

        Raises:
            InputError: the sentence or a turn is none.
            Busy: too many requests wait.
            Cancelled: `cancel` was set.
            TooSlow: it took longer than `limits.answer_s`.
            QuerywrightError: the engine failed.
        """
        limits = self.limits
        question = clean(sentence, limits.instruction_chars)
        said = self._turns(turns)
        if n is not None and not 1 <= n <= limits.alternatives:
            raise InputError("bad_n", f"n is {n}; 1 to {limits.alternatives} answers can be chosen from")
        shorter = {"max_tokens": max_tokens} if max_tokens is not None and max_tokens < limits.tokens else {}
        served, model = self.apis[choice.api], self.models[choice.model]
        start = time.monotonic()

        def progress(text: str) -> bool:
            if on_text is not None:
                on_text(text)
            return not (cancel is not None and cancel.is_set()) and time.monotonic() - start < limits.answer_s

        with model.gate.enter(cancel=cancel, timeout=limits.answer_s, client=client, patient=patient) as waited:
            writer = self._writer(choice)
            try:
                answer = writer.answer(question, said, n=n, progress=progress, **shorter)
            except Cancelled:
                if cancel is not None and cancel.is_set():
                    raise
                raise TooSlow(
                    f"the answer took more than {limits.answer_s:g} s", hint="ask for less at once", retryable=True
                ) from None
        verdict = self._verdict(served, answer)
        hits = self.find(choice.api, verdict) if run else Hits(reason="not run")
        return Reply(
            question, choice, verdict, answer.ms, waited * 1000, hits,
            answer.confidence if answer.calibrated else None, answer.abstained, self._others(served, answer, verdict),
            tuple(said), answer.tokens_in, answer.tokens, model.id, config_id(writer), answer.finish,
        )  # fmt: skip

    def chosen_from(self, choice: Choice) -> int:
        """How many answers of the model a choice's answer is chosen from where nothing else is asked for."""
        return int(self._writer(choice).about.get("n", 1))

    def grounds(self, choice: Choice) -> bool:
        """Whether values are made whole from the sentence."""
        return bool(self._writer(choice).about.get("grounded"))

    def check(self, api: str, path: str) -> Verdict:
        """Read a path as a call; its words are there only where it is one."""
        return check(self.apis[api].api, path)

    def find(self, api: str, verdict: Verdict) -> Hits:
        """Run a call on the API's records. A failure is a reason, not an error."""
        return assistant.find(self.apis[api], verdict, self.limits)

    def _writer(self, choice: Choice) -> Writes:
        writer = self._writers.get(choice)
        if writer is not None:  # it does not wait until another's index is built
            return writer
        with self._opening:  # an index of a strategy is built once
            if choice not in self._writers:
                self._writers[choice] = self._open(choice)
            return self._writers[choice]

    def _turns(self, turns: Sequence[Message]) -> list[Message]:
        """The last turns, cleaned; they begin with a sentence of the user."""
        said: list[Message] = []
        for turn in list(turns)[-self.limits.turns :]:
            role = turn.get("role")
            if role not in ("user", "assistant"):
                raise InputError("bad_turn", f"a turn is the user's or the assistant's, not {str(role)[:40]!r}")
            most = self.limits.instruction_chars if role == "user" else self.limits.call_chars
            said.append({"role": role, "content": clean(turn.get("content"), most, f"a turn of the {role}")})
        while said and said[0]["role"] != "user":
            said.pop(0)
        return said

    def _verdict(self, served: Served, answer: Any) -> Verdict:
        if answer.refused:
            return Verdict(answer.path, False, answer.reason or "no call answers this", refused=answer.refused)
        verdict = check(served.api, answer.path)
        if not answer.ok:  # an answer that ran out of tokens may look like a call: the engine knows better
            return Verdict(answer.path, False, answer.reason or verdict.reason or "the model gave no call")
        return verdict

    def _others(self, served: Served, answer: Any, best: Verdict) -> tuple[Alternative, ...]:
        """What else was written, valid calls only, likelier ones first."""
        found = []
        for one in answer.candidates:
            verdict = check(served.api, one["path"]) if one["ok"] else None
            if verdict is None or not verdict.ok or verdict.path == best.path:
                continue
            sure = one["confidence"] if answer.calibrated else None
            found.append(Alternative(verdict, sure, tuple(dict.fromkeys(one["sources"]))))
        found.sort(key=lambda other: -(other.confidence or 0.0))
        return tuple(found)


def config_id(writer: Writes) -> str:
    """The settings that an answer depends on, as a hash."""
    return content_id(json.dumps(writer.about, sort_keys=True, default=str))


def known(what: str, name: object, names: Any) -> str:
    """The name, if it is one of these.

    Raises:
        InputError: it is none.
    """
    if isinstance(name, str) and name in names:
        return name
    near = did_you_mean(name, [*names]) if isinstance(name, str) else ""
    raise InputError(
        f"unknown_{what}", f"no {'API' if what == 'api' else what} {str(name)[:80]!r} here{near}",
        hint=f"served: {', '.join(names)}",
    )  # fmt: skip
