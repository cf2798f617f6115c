"""Chunks to question rows: windows, a writer, checks, and a report of what was kept and what was dropped, and why.

A row: `id`, `question`, `answer`, `evidence`, `evidence_chunk` (its number), `evidence_start` (offset in that chunk's
text), `window` ([first, last]), `writer`, `checks`, `tokens_in`, `tokens_out`, `ms`.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from querywright.artefacts import MANIFEST, alone, content_id, is_done, write_json, write_jsonl, write_manifest
from querywright.progress import say, track
from querywright.questions import verify
from querywright.questions.again import AGREES, Again
from querywright.questions.chunks import Chunk
from querywright.questions.drafts import Draft, Task, Writer
from querywright.questions.retrieve import RoundTrip
from querywright.questions.windows import Window, windows
from querywright.squad import f1

ROWS, DROPPED, REPORT = "questions.jsonl", "dropped.jsonl", "report.json"
PER_WINDOW = 2
TOP = 3
INDEX = "index"


def make(
    chunks: Sequence[Chunk], size: int, step: int, writer: Writer, out: Path | str, *,
    per_window: int = PER_WINDOW, seed: int = 0, limit: int | None = None, top: int = TOP, retrieval: str = "",
    again: Again | None = None,
) -> Path:  # fmt: skip
    """Write questions about every window into `out`, which is made; returns the path of `questions.jsonl`.

    Beside it: `dropped.jsonl` (what was not kept, with the reason), `report.json` (counts, tokens, seconds) and a
    manifest. A call with the same arguments finds the manifest and does nothing; one that was killed goes on, since a
    model's answers are kept in `out` (see `write.open_writer`).

    Args:
        size, step: of the windows, see `windows.windows`.
        writer: see `write.open_writer`; it stays open.
        per_window: at most so many questions a window.
        limit: only the first so many windows.
        top: the question has to find a chunk of its window among the `top` nearest ones; 0 leaves this check out.
        retrieval: `meaning` or `words`; by default either will do, see `retrieve.RoundTrip`.
        again: answers a question from its window once more; a question that it answers otherwise is dropped.

    Raises:
        QuerywrightError: the windows don't fit, another run works in `out`, or the model is gone: what it answered is
            kept, and the same call goes on.
    """
    out = Path(out)
    listed = windows(len(chunks), size, step)[:limit]
    tasks = plan(chunks, listed, per_window, seed)
    config = {
        "chunks": content_id(json.dumps([[c.text, c.fields] for c in chunks], sort_keys=True), 64), "size": size,
        "step": step, "windows": len(listed), "per_window": per_window, "seed": seed, "top": top,
        "retrieval": retrieval or "either", "writer": writer.about(), "again": again.about() if again else None,
    }  # fmt: skip
    with alone(out):
        if is_done(out, config):
            say(f"questions: {out} is whole, nothing to do")
            return out / ROWS
        (out / MANIFEST).unlink(missing_ok=True)
        start = time.monotonic()
        empty = sum(not chunk.text.strip() for chunk in chunks)
        held = f"{len(chunks)} chunks" + f", {empty} of them empty" * bool(empty)
        say(f"{held}: {len(listed)} windows of {size}, step {step}")
        retriever = RoundTrip(chunks, out / INDEX, by=retrieval) if top else None
        sieve = Sieve(writer, retriever, top)
        for task, drafts in zip(tasks, track(writer.write(tasks), "windows", len(tasks)), strict=True):
            sieve.take(task, drafts)
        if again is not None:
            sieve.ask_again(again)
        cut = [str(window) for window in getattr(writer, "cut", ())]
        facts = {**sieve.report(), "chunks": len(chunks), "chunks_empty": empty, "windows": len(listed),
                 "windows_cut": cut, "seconds": round(time.monotonic() - start, 2), "config": config}  # fmt: skip
        write_jsonl(out / DROPPED, sieve.dropped)
        n = write_jsonl(out / ROWS, sieve.rows)
        write_json(out / REPORT, facts)
        if not sieve.reasons["budget"]:  # else the same call with a higher limit goes on
            write_manifest(out, config, [ROWS, DROPPED, REPORT], rows=n)
    say(told(facts))
    return out / ROWS


def plan(chunks: Sequence[Chunk], listed: Sequence[Window], n: int, seed: int) -> list[Task]:
    """A task for each window."""
    of = Counter(number for window in listed for number in range(window.first, window.last + 1))
    seen: Counter[int] = Counter()
    tasks = []
    for window in listed:
        held = chunks[window.first - 1 : window.last]
        tasks.append(Task(window, held, n, seed, {c.number: (seen[c.number], of[c.number]) for c in held}))
        seen.update(chunk.number for chunk in held)
    return tasks


def told(facts: dict[str, Any]) -> str:
    """A report in one sentence."""
    dropped = ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in facts["dropped"].items())
    n, none = facts["windows"], facts["windows_without"]
    text = f"questions: {facts['kept']} kept of {facts['written']} written about {n} window{'s' * (n != 1)}"
    text += f" ({none} {'has' if none == 1 else 'have'} none)" if none else ""
    return text + (f"; dropped: {dropped}" if dropped else "")


class Sieve:
    """Takes drafts, keeps those that stand."""

    def __init__(self, writer: Writer, retriever: RoundTrip | None, top: int) -> None:
        self.rows: list[dict[str, Any]] = []
        self.dropped: list[dict[str, Any]] = []
        self.reasons: Counter[str] = Counter()
        self._writer, self._small = str(writer.about()["writer"]), writer.small
        self._retriever, self._top = retriever, top
        self._kept: list[tuple[Task, Draft]] = []
        self._seen: set[str] = set()
        self._spent: Counter[str] = Counter()
        self._windows: set[Window] = set()
        self._written = 0

    def take(self, task: Task, drafts: Sequence[Draft]) -> None:
        """Check the drafts of a window."""
        kept = 0
        for draft in drafts:
            self._spent.update(tokens_in=draft.tokens_in, tokens_out=draft.tokens_out)
            self._spent["ms"] += round(draft.ms)
            self._written += draft.fault not in ("budget", "no_answer")
            checked = verify.check(draft, task, small=self._small)
            fault, checks = checked.fault, dict[str, Any]()
            if not fault and kept >= task.n:
                fault = "enough"
            elif not fault:
                fault, checks = self._round_trip(task, checked.draft)
            if fault:
                self._drop(task, checked.draft, fault, checks)
            else:
                kept += 1
                self._kept.append((task, checked.draft))
                self.rows.append(self._row(task, checked.draft, checks))
        self._windows.add(task.window)

    def ask_again(self, again: Again) -> None:
        """Drop the questions that a model answers otherwise; what it does not answer is dropped, too."""
        kept = zip(self.rows, self._kept, again.answers(self._kept), strict=True)
        self.rows, before = [], len(self.rows)
        for row, (task, draft), said in track(kept, "answering again", before):
            same = 0.0 if said is None else f1(said, draft.answer)
            checks = {**row["checks"], "again": said, "again_f1": round(same, 3)}
            if same < AGREES:
                self._drop(task, draft, "not_answered", checks)
            else:
                self.rows.append({**row, "checks": checks})

    def report(self) -> dict[str, Any]:
        """Counts: `written`, `kept`, `dropped` by reason, tokens, and milliseconds of the model."""
        return {
            "writer": self._writer, "written": self._written, "kept": len(self.rows),
            "dropped": dict(self.reasons.most_common()),
            "why": {reason: verify.REASONS[reason] for reason in self.reasons},
            "windows_without": len(self._windows) - len({tuple(row["window"]) for row in self.rows}),
            "tokens_in": self._spent["tokens_in"],
            "tokens_out": self._spent["tokens_out"], "ms": self._spent["ms"],
            "retrieval": getattr(self._retriever, "name", None),
        }  # fmt: skip

    def _round_trip(self, task: Task, draft: Draft) -> tuple[str, dict[str, Any]]:
        """What a draft's place among the others and in the document says against it, and what was found."""
        alike = {verify.same_words(draft.question), f"{draft.chunk}:{draft.start}:{draft.answer}"}
        checks: dict[str, Any] = {"answer_in_evidence": True, "evidence_in_window": True}
        if alike & self._seen:
            return "duplicate", checks
        if self._retriever is not None:
            texts = {chunk.text for chunk in task.chunks}  # another chunk with the same text is as good
            home = next(chunk.text for chunk in task.chunks if chunk.number == draft.chunk)
            hits, back = self._retriever.back(draft.question, self._top, home, texts)
            checks["retrieved"] = [hit.item.number for hit in hits]
            checks["rank"] = next((rank for rank, hit in enumerate(hits, 1) if hit.item.number == draft.chunk), None)
            if not back:
                return "not_found", checks
        self._seen |= alike
        return "", checks

    def _row(self, task: Task, draft: Draft, checks: dict[str, Any]) -> dict[str, Any]:
        material = [*task.window, draft.chunk, draft.start, draft.question, draft.answer, draft.evidence]
        return {"id": content_id(json.dumps(material)), **_texts(task, draft), "writer": self._writer, "checks": checks,
                "tokens_in": draft.tokens_in, "tokens_out": draft.tokens_out, "ms": round(draft.ms, 1)}  # fmt: skip

    def _drop(self, task: Task, draft: Draft, fault: str, checks: dict[str, Any]) -> None:
        self.reasons[fault] += 1
        self.dropped.append({"reason": fault, **_texts(task, draft), "checks": checks})


def _texts(task: Task, draft: Draft) -> dict[str, Any]:
    return {"question": draft.question, "answer": draft.answer, "evidence": draft.evidence,
            "evidence_chunk": draft.chunk, "evidence_start": draft.start, "window": [*task.window]}  # fmt: skip
