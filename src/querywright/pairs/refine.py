"""`pairs refine`: steps that make pairs true and clean, one after the other, each on the rows that the last one left.

Each step writes its own folder (`OUT.steps/1-round_trip`, ...) whose manifest says what it was made from; a run that
was broken off, or is run again with one option changed, goes on from the first step that is not there yet.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from querywright import __version__
from querywright.api.definition import API
from querywright.artefacts import (
    MANIFEST,
    alone,
    apart,
    content_id,
    is_done,
    read_jsonl,
    sha256,
    write_json,
    write_jsonl,
    write_manifest,
)
from querywright.errors import QuerywrightError, did_you_mean
from querywright.pairs import classic, fluff, length, near, signal
from querywright.pairs.mask import mask
from querywright.pairs.read import read_pairs
from querywright.progress import say
from querywright.protected import refuse
from querywright.rows import Row

USUAL = ("round_trip", "classic", "near")
_FILES = ("kept.jsonl", "rejected.jsonl", "findings.json")


@dataclass(frozen=True)
class Options:
    """What the steps need.

    Attributes:
        api: the definition; without it rows of calls can't be read back.
        hits: a reading that finds the same records is the same call; runs calls on the definition's records.
        reader: a model that reads sentences back instead of the reader without a model.
        keep: reasons of the round trip for which a row stays, such as `unread`.
        judge: the model that judges signal; several may work side by side where it is a server.
        labels: its labelled examples; `about`: what the rows ask for.
        weak: weak rows become `nil`, or `drop`.
        tokenizer, limit: how tokens are counted, and the most that a row may have; 0 for no limit.
        threshold: rows of one meaning are one where their sentences are nearer than this cosine; 0 embeds nothing.
        workers: processes that read back, or connections to the judge.
    """

    api: API | None = None
    hits: bool = False
    reader: str = ""
    keep: tuple[str, ...] = ()
    judge: str = ""
    labels: Path | None = None
    about: str = ""
    weak: str = "nil"
    tokenizer: str = ""
    limit: int = 0
    threshold: float = 0.0
    workers: int = 1
    seed: int = 17


@dataclass
class Outcome:
    """What a step left, what it rejected (each with its `reason`), and what it found."""

    kept: list[Row]
    rejected: list[Row] = field(default_factory=list)
    findings: dict[str, Any] = field(default_factory=dict)


Step = Callable[[list[Row], Options, Path], Outcome]


def refine(
    source: Path, out: Path, *, steps: Sequence[str] = USUAL, options: Options, rejects: Path | None = None,
    report: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Run steps in the given order, and write what is left.

    Args:
        rejects: rows that left, with `step` and `reason`.
        report: counts and findings of each step, as a page where it ends in .html, else as JSON.

    Raises:
        QuerywrightError: an unknown step, a step that lacks what it needs, rows that are no pairs.
    """
    wanted = _checked(steps, options)
    apart(source, out=out, rejects=rejects, report=report)
    rows = read_pairs(source)
    refuse(rows, source)
    if not rows:
        raise QuerywrightError(f"{source} holds no rows", hint="pairs as `querywright pairs make` writes them")
    with alone(out.with_name(f"{out.name}.steps")):
        return _all(wanted, rows, source, out, options, rejects, report)


def _all(
    wanted: Sequence[str], rows: list[Row], source: Path, out: Path, options: Options, rejects: Path | None,
    report: Path | None,
) -> dict[str, Any]:  # fmt: skip
    """The steps one after the other, and what they left."""
    given = source
    told, rejected = [], []
    for number, name in enumerate(wanted, 1):
        folder = out.with_name(f"{out.name}.steps") / f"{number}-{name}"
        start, reused = time.monotonic(), _run(name, given, folder, options)
        given = folder / "kept.jsonl"
        gone = read_jsonl(folder / "rejected.jsonl")
        rejected += [{**r, "step": name} for r in gone]
        left = read_jsonl(given)
        findings = json.loads((folder / "findings.json").read_text(encoding="utf-8"))
        seconds = round(time.monotonic() - start, 1)
        line = {"step": name, "before": len(rows), "after": len(left), "rejected": len(gone), "reused": reused}
        told.append({**line, "seconds": seconds, "reasons": dict(Counter(r["reason"] for r in gone).most_common()),
                     "examples": _examples(gone), "findings": findings})  # fmt: skip
        reasons = "".join(f", {n} {reason}" for reason, n in told[-1]["reasons"].items())
        again = " (from an earlier run)" if reused else ""
        say(f"refine: {name}: {len(rows)} rows, {len(left)} left{reasons}{again}")
        rows = left
    write_jsonl(out, rows)
    if rejects:
        write_jsonl(rejects, rejected)
    facts = {"source": str(source), "out": str(out), "rows": told[0]["before"], "left": len(rows), "steps": told}
    if report and report.suffix.lower() in (".html", ".htm"):
        from querywright.pairs.refine_page import write

        write(facts, report)
    elif report:
        write_json(report, facts)
    return facts


def _checked(steps: Sequence[str], options: Options) -> list[str]:
    wanted = list(steps)
    wrong = [f"{s!r}{did_you_mean(s, [*STEPS])}" for s in wanted if s not in STEPS]
    if wrong or not wanted or len(set(wanted)) < len(wanted):
        what = f"unknown step {', '.join(wrong)}" if wrong else "no steps, or one twice"
        raise QuerywrightError(what, hint=f"--steps takes some of {','.join(STEPS)}, in the order they are to run")
    if "signal" in wanted and not (options.judge and options.labels):
        raise QuerywrightError(
            "the step signal needs a judge and its labels",
            hint="--judge MODEL --labels FILE (25 to 50 lines with instruction and signal: yes or no)",
        )
    from querywright.pairs.round_trip import REASONS

    strange = [f"{k!r}{did_you_mean(k, [*REASONS])}" for k in options.keep if k not in REASONS]
    if strange:
        raise QuerywrightError(f"unknown --keep {', '.join(strange)}", hint=f"reasons: {','.join(REASONS)}")
    if options.weak not in ("nil", "drop"):
        raise QuerywrightError(f"unknown --weak {options.weak!r}", hint="nil or drop")
    return wanted


def _run(name: str, given: Path, folder: Path, options: Options) -> bool:
    """Run one step unless its folder covers it already; returns whether it did."""
    config = {"stage": f"pairs refine: {name}", "version": __version__, "rows": sha256(given), **_asked(name, options)}
    if is_done(folder, config):
        return True
    (folder / MANIFEST).unlink(missing_ok=True)
    rows = read_pairs(given)
    done = STEPS[name](rows, options, folder)
    write_jsonl(folder / "kept.jsonl", done.kept)
    write_jsonl(folder / "rejected.jsonl", done.rejected)
    write_json(folder / "findings.json", done.findings)
    write_manifest(folder, config, _FILES, kept=len(done.kept), rejected=len(done.rejected))
    return False


def _asked(name: str, options: Options) -> dict[str, Any]:
    """The options that a step's result depends on."""
    used = {
        "round_trip": ("api", "hits", "reader", "keep"),
        "signal": ("judge", "labels", "about", "weak", "api"),
        "fluff": ("api", "seed"),
        "classic": ("tokenizer", "limit"),
        "near": ("threshold",),
    }[name]
    values: dict[str, Any] = {key: getattr(options, key) for key in used}
    if "api" in values:
        values["api"] = content_id(options.api.model_dump_json()) if options.api else ""
    if "labels" in values:
        values["labels"] = sha256(options.labels) if options.labels and options.labels.is_file() else ""
    return values


def _examples(rejected: Sequence[Row], most: int = 10) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for r in rejected:
        group = found.setdefault(str(r["reason"]), [])
        if len(group) < most:
            group.append(r)
    return found


# --- steps -----------------------------------------------------------------------------------------------------------
def _round_trip(rows: list[Row], options: Options, folder: Path) -> Outcome:
    from querywright.pairs import round_trip

    calls = [r for r in rows if r.get("path") or r.get("refusal")]
    if not calls:
        return Outcome(rows, findings={"passed": len(rows), "note": "no row holds a call: nothing to read back"})
    if options.api is None:
        raise QuerywrightError(f"round_trip: {len(calls)} rows hold calls of an API", hint="--api NAME")
    executor = None
    if options.hits:
        from querywright.api.executors import EmbeddedExecutor

        executor = EmbeddedExecutor(options.api)
    reader = _model_reader(options.api, options.reader) if options.reader else None
    kept, rejected = round_trip.check(
        options.api, calls, reader=reader, executor=executor, workers=options.workers, keep=options.keep
    )
    held, gone = set(map(id, calls)), Counter((r["id"], r["instruction"]) for r in rejected)
    left = []
    for r in rows:  # what was read back, and what passes, in the order they came in
        if id(r) in held and gone[(r["id"], r["instruction"])]:
            gone[(r["id"], r["instruction"])] -= 1
        else:
            left.append(r)
    if len(left) != len(kept) + len(rows) - len(calls):
        raise AssertionError("round trip lost rows")
    return Outcome(left, rejected, {"passed": len(rows) - len(calls), **round_trip.report(kept, rejected)})


def _model_reader(api: API, model: str) -> Any:
    from querywright.engines.open import open_engine
    from querywright.pairs.round_trip import engine_reader
    from querywright.rows import chat

    engine = open_engine(model)

    def ask(r: Row) -> str:
        return engine.generate(chat(r)["messages"][:-1])[0].text

    return engine_reader(api, ask)


def _signal(rows: list[Row], options: Options, folder: Path) -> Outcome:
    from querywright.engines.open import open_engine

    labels = signal.read_labels(options.labels or "")
    about = options.about
    if not about and options.api:
        about = f"Messages are requests that {options.api.title} answers: {options.api.about}."
    server = options.judge.startswith(("http://", "https://"))
    engines = [open_engine(options.judge) for _ in range(options.workers if server else 1)]
    asked = [r for r in rows if signal.judged(r)]
    try:
        judges = [signal.Judge(e, labels, about) for e in engines]
        verdicts = signal.judge(asked, judges, folder / "verdicts.jsonl")
    finally:
        for engine in engines:
            engine.close()
    told = dict(zip(map(id, asked), verdicts, strict=True))
    kept, rejected = signal.apply(rows, [told.get(id(r), {"signal": signal.YES}) for r in rows], options.weak)  # type: ignore[arg-type]
    counts = Counter(v["signal"] for v in verdicts)
    weak = [r["instruction"] for r, v in zip(asked, verdicts, strict=True) if v["signal"] == signal.NO]
    findings = {"judge": options.judge, "labels": len(labels), "passed": len(rows) - len(asked), **counts}
    return Outcome(kept, rejected, {**findings, "weak_become": options.weak, "weak": weak[:10]})


def _fluff(rows: list[Row], options: Options, folder: Path) -> Outcome:
    reader: fluff.Reader | None = None
    if options.api is not None and any(r.get("path") for r in rows):
        from querywright.pairs.reader import read

        api = options.api

        def first(sentence: str) -> str | None:
            calls = read(api, sentence)
            return calls[0].canonical if calls else None

        reader = first
    elif any(r.get("path") for r in rows):
        raise QuerywrightError("fluff: rows hold calls, and nothing reads them", hint="--api NAME")
    phrases = fluff.find(rows, reader, seed=options.seed)
    kept, changed = fluff.remove(rows, [p for p in phrases if p.same >= fluff.SAME], reader)
    return Outcome(kept, findings=fluff.report(rows, kept, phrases, changed))


def _classic(rows: list[Row], options: Options, folder: Path) -> Outcome:
    count = length.counter(options.tokenizer) if options.tokenizer else None
    kept, rejected, found = classic.check(rows, count=count, limit=options.limit)
    return Outcome(kept, rejected, {"findings": [f.as_dict() for f in found]})


def _near(rows: list[Row], options: Options, folder: Path) -> Outcome:
    kept, rejected = near.drop_same(rows)
    kept, more = near.drop_template(kept)
    rejected += more
    if options.threshold:
        kept, more = near.drop_near(kept, options.threshold)
        rejected += more
    templates = Counter(map(mask, kept))
    common = [{"template": t, "rows": n} for t, n in templates.most_common(10) if n > 1]
    return Outcome(kept, rejected, {"rows": len(kept), "templates": len(templates), "most_common": common})


STEPS: dict[str, Step] = {
    "round_trip": _round_trip,
    "fluff": _fluff,
    "classic": _classic,
    "near": _near,
    "signal": _signal,
}
"""Name: a step, in the order that costs least: what is cheap goes before what is paid for."""
