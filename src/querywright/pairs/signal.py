"""A judge of a few examples: whether what was said holds enough to be answered. It marks the weak rows.

Twenty-five to fifty labelled sentences stand before each question as a chat, positives and negatives by turns, so that
no run of one answer suggests the next. Verdicts are appended to a file as they come: a run that was killed goes on
where it stood and asks nothing twice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal

from querywright.api.refusal import NIL, refused
from querywright.artefacts import content_id, data_dir, read_jsonl
from querywright.engines.base import Engine, EngineError, Grammar, Message
from querywright.errors import QuerywrightError
from querywright.pairs.read import misshapen
from querywright.progress import say, track
from querywright.rows import Row, answer, refusal_row

FEWEST, MOST = 25, 50
YES, NO = "yes", "no"
_UNEVEN = 0.4  # the smaller side has at least this share
_LARK = Grammar('start: "yes" | "no"')
_SCHEMA = {
    "type": "object",
    "properties": {"signal": {"type": "string", "enum": [YES, NO]}},
    "required": ["signal"],
    "additionalProperties": False,
}
_JSON = Grammar(json.dumps(_SCHEMA), "json")


@dataclass
class Judge:
    """What a verdict depends on: an engine, the labels, and what the rows are about.

    Attributes:
        grammar: what the answer is held to; a server that refuses JSON schemas is asked without one from then on, and
            its answer is read.
    """

    engine: Engine
    labels: Sequence[Row]
    about: str = ""
    grammar: Grammar | None = field(init=False)

    def __post_init__(self) -> None:
        """Take the strictest form of answer that the engine knows."""
        self.grammar = _JSON if self.engine.describe().get("engine") == "server" else _LARK

    def verdict(self, r: Row) -> dict[str, Any]:
        """The judge's word on a row: `signal` (yes, no, or `unclear` where a server answered something else), and `p`,
        the probability that the model gave it, where the engine tells."""
        try:
            told = self._ask(r)
        except EngineError as error:
            if self.grammar is not _JSON or error.retryable:
                raise
            self.grammar = None
            told = self._ask(r)  # what was wrong with more than the schema is raised here
            say(f"signal: the server keeps to no JSON schema; its answers are read as they come ({error})")
        return told

    def _ask(self, r: Row) -> dict[str, Any]:
        done = self.engine.generate(self.messages(r), grammar=self.grammar, max_tokens=16)[0]
        told = {"signal": _read(done.text)}
        return told if done.logprob is None else {**told, "p": round(math.exp(done.logprob), 4)}

    def messages(self, r: Row) -> list[Message]:
        """The chat that asks about a row: what is judged, the labels by turns, the row."""
        chat = [{"role": "system", "content": _prompt(self.about)}]
        for label in self.labels:
            word = str(label["signal"])
            told = json.dumps({"signal": word}) if self.grammar is _JSON else word
            chat += [{"role": "user", "content": _text(label)}, {"role": "assistant", "content": told}]
        return [*chat, {"role": "user", "content": _text(r)}]

    @property
    def id(self) -> str:
        """A hash of what verdicts depend on."""
        asked = [_prompt(self.about), [(_text(label), label["signal"]) for label in self.labels]]
        return content_id(json.dumps([asked, self.engine.describe()], sort_keys=True))


def read_labels(path: Path | str) -> list[Row]:
    """Labelled rows by turns, a positive first: JSON lines with `instruction`, perhaps `turns`, and `signal`.

    Raises:
        QuerywrightError: fewer than 25 or more than 50, one side much smaller than the other, or a line without label.
    """
    rows = read_jsonl(path)
    for number, r in enumerate(rows, 1):
        if r.get("signal") not in (YES, NO) or misshapen(r):
            raise QuerywrightError(
                f"{path}: label {number} is no label",
                hint='{"instruction": "...", "signal": "yes"} or "no", one a line',
            )
    yes, no = ([r for r in rows if r["signal"] == s] for s in (YES, NO))
    if not FEWEST <= len(rows) <= MOST:
        raise QuerywrightError(
            f"{path} has {len(rows)} labels; the judge takes {FEWEST} to {MOST}",
            hint="label more rows" if len(rows) < FEWEST else "keep those that are clearest, as many of each side",
        )
    if min(len(yes), len(no)) < _UNEVEN * len(rows):
        raise QuerywrightError(
            f"{path} has {len(yes)} positives and {len(no)} negatives",
            hint=f"about as many of each: at least {math.ceil(_UNEVEN * len(rows))} of {len(rows)}",
        )
    return list(_by_turns(yes, no))


def judge(rows: Sequence[Row], judges: Sequence[Judge], results: Path | str) -> list[dict[str, Any]]:
    """A verdict on each row, in the rows' order. One is asked once for the same words, in this run and later ones.

    Args:
        judges: equal ones that may work side by side, such as several connections to one server.
        results: verdicts are appended to this file as they come, and read from it.

    Raises:
        EngineError: the engine failed for good; what was judged is kept.
    """
    keys = [content_id(f"{judges[0].id}\n{_text(r)}", 16) for r in rows]
    known = _known(Path(results))
    todo = {k: r for k, r in zip(keys, rows, strict=True) if k not in known}
    if len(todo) < len(set(keys)):
        say(f"signal: {len(set(keys)) - len(todo)} of {len(set(keys))} were judged before")
    Path(results).parent.mkdir(parents=True, exist_ok=True)
    with open(results, "a", encoding="utf-8") as out:
        try:
            for k, told in track(_asked(todo, judges), "signal", len(todo)):
                known[k] = told
                out.write(json.dumps({"key": k, **told}) + "\n")
                out.flush()
        except EngineError as error:
            hint = f"{error.hint}; the same command goes on from here" if error.hint else "run the same command again"
            done = sum(k in known for k in set(keys))
            text = f"{error} ({done} of {len(set(keys))} rows are judged and kept)"
            raise EngineError(text, hint=hint, retryable=error.retryable) from error
    return [known[k] for k in keys]


def judged(r: Row) -> bool:
    """Whether a row is a case for the judge: refusals are not, they are weak on purpose."""
    return not r.get("refusal") and refused(answer(r)) is None


def apply(
    rows: Sequence[Row], verdicts: Sequence[dict[str, Any]], weak: Literal["nil", "drop"] = "nil"
) -> tuple[list[Row], list[Row]]:
    """Rows after the judge's word, and those that left, with their reason (`weak_signal`, `unclear_signal`).

    Args:
        weak: weak rows become negatives (`nil`: their answer is a refusal), or leave (`drop`).
    """
    kept, rejected = [], []
    for r, told in zip(rows, verdicts, strict=True):
        if told["signal"] == YES:
            kept.append(r)
        elif told["signal"] == NO and weak == "nil":
            kept.append(_negative(r))
        else:
            rejected.append({**r, "reason": "weak_signal" if told["signal"] == NO else "unclear_signal"})
    return kept, rejected


def _negative(r: Row) -> Row:
    if not r.get("path"):
        return {**r, "answer": NIL}
    same = {k: r[k] for k in ("turns", "persona", "teacher", "weight", "source") if k in r}
    return refusal_row(str(r["api"]), r["instruction"], "topic", **same)


def _asked(todo: dict[str, Row], judges: Sequence[Judge]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Verdicts by key; one judge in this thread, several each with one row at a time."""
    if len(judges) == 1:
        yield from ((k, judges[0].verdict(r)) for k, r in todo.items())
        return
    free: SimpleQueue[Judge] = SimpleQueue()
    for one in judges:
        free.put(one)

    def ask(k: str) -> tuple[str, dict[str, Any]]:
        one = free.get()
        try:
            return k, one.verdict(todo[k])
        finally:
            free.put(one)

    failed: EngineError | None = None
    with ThreadPoolExecutor(len(judges)) as pool:
        waiting, running = iter(todo), set[Future[tuple[str, dict[str, Any]]]]()
        while True:
            free_hands = len(judges) - len(running) if failed is None else 0
            running |= {pool.submit(ask, k) for k in islice(waiting, free_hands)}
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                try:
                    yield future.result()
                except EngineError as error:  # what the others have under way is paid for: take it before stopping
                    failed = error
    if failed is not None:
        raise failed


def _known(path: Path) -> dict[str, dict[str, Any]]:
    """Verdicts that a file holds. A last line that a kill cut short is taken off, so that the next one is whole."""
    if not path.is_file():
        return {}
    whole = path.read_bytes()
    end = whole.rfind(b"\n") + 1
    if end < len(whole):
        with open(path, "r+b") as file:
            file.truncate(end)
    return {r["key"]: {k: v for k, v in r.items() if k != "key"} for r in read_jsonl(path)}


def _by_turns(yes: Sequence[Row], no: Sequence[Row]) -> Iterator[Row]:
    """Both sides mixed evenly, a positive first: the larger side's surplus is spread, not heaped at the end."""
    order = [((i + 0.5) / len(yes), 0, r) for i, r in enumerate(yes)]
    order += [((i + 0.5) / len(no), 1, r) for i, r in enumerate(no)]
    return (r for _, _, r in sorted(order, key=lambda o: o[:2]))


def _prompt(about: str) -> str:
    text = (data_dir() / "prompts" / "signal.txt").read_text(encoding="utf-8").strip()
    return " ".join(text.format(about=about).split())


def _text(r: Row) -> str:
    turns = "".join(f"{t['role']}: {t['content']}\n" for t in r.get("turns", ()))
    return turns + str(r["instruction"])


def _read(text: str) -> str:
    told = text.strip()
    try:
        value = json.loads(told)
        told = str(value.get("signal", "")) if isinstance(value, dict) else str(value)
    except ValueError:
        pass
    first = told.lower().strip(" .!\"'*`").split()[:1]
    return first[0].rstrip(".,:;!") if first and first[0].rstrip(".,:;!") in (YES, NO) else "unclear"
