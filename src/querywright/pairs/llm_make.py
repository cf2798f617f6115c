"""Calls to pairs with a language model: the estimate, the run, the files. `make.make` does the same with templates.

Every answer stands in `answers.jsonl` beside the pairs before it counts (see `engines.ledger`): a run that was killed,
or that its budget stopped, goes on with the same command and pays for nothing twice.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from querywright.api.call import Call
from querywright.api.definition import API
from querywright.api.identity import definition_id
from querywright.artefacts import is_done, sha256, write_json, write_jsonl, write_manifest
from querywright.engines.budget import Budget
from querywright.engines.ledger import Ledger
from querywright.engines.prices import price_of
from querywright.engines.sender import Sender, open_many
from querywright.errors import QuerywrightError
from querywright.pairs.check import report
from querywright.pairs.draw import Drawer
from querywright.pairs.llm import LLMTeacher, Worded, estimate
from querywright.pairs.make import covered, kept_calls, sound
from querywright.pairs.typed_draw import TypedDrawer
from querywright.progress import say
from querywright.protected import allowed
from querywright.rows import Row, row

ANSWERS = "answers.jsonl"
_PATIENCE = 3000  # drawn calls in a row that are known already


@dataclass(frozen=True)
class Options:
    """How a model is asked.

    Attributes:
        model: a GGUF file, a checkpoint folder, or a server's URL#NAME.
        batch: calls of a prompt; None: 5 for a server, 1 for a local model.
        concurrency: prompts that a server has at once.
        price_in, price_out: money for a million tokens; None looks the model up in `prices.yaml`.
        budget: money, and `max_tokens` tokens in and out, that nothing is sent beyond; earlier runs are counted.
        personas: who asks: a file, a number, or `own`; see `personas.given`.
    """

    model: str
    batch: int | None = None
    concurrency: int = 4
    price_in: float | None = None
    price_out: float | None = None
    budget: float | None = None
    max_tokens: int | None = None
    personas: Path | str | None = None
    temperature: float = 0.7
    threads: int | None = None


def make_llm(
    api: API,
    out: Path,
    options: Options,
    *,
    calls: Path | None,
    most: int,
    draw: int,
    per_call: int,
    seed: int,
    records: list[dict[str, Any]],
    only_estimate: bool = False,
) -> dict[str, Any]:
    """Write `pairs.jsonl` and `rejects.jsonl` into `out`; returns the report, or the estimate alone.

    Raises:
        QuerywrightError: the model is not there or gives up, prices are missing, or nothing was worded.
    """
    if not options.model:
        raise QuerywrightError("the teacher llm needs a model", hint="--model FILE.gguf, or --model URL#NAME")
    personas = cast(api, str(options.personas), seed) if options.personas else []
    config = {
        "stage": "pairs make, llm",
        "api": api.name,
        "calls": sha256(calls) if calls else None,
        "most": most,
        "draw": draw,
        "per_call": per_call,
        "seed": seed,
        "records": len(records),
        "definition": definition_id(api),
        "personas": personas,
        **{k: v for k, v in asdict(options).items() if k not in ("personas", "threads", "concurrency")},
    }
    if not only_estimate and is_done(out, config):
        say(f"pairs: {out} is whole, nothing to do")
        facts: dict[str, Any] = yaml.safe_load((out / "report.json").read_text(encoding="utf-8"))
        return facts
    price_in, price_out = prices(options)
    rng = random.Random(seed)
    kept = kept_calls(api, calls, most, rng) if calls else []
    drawer = TypedDrawer(api, rng, records, kept) if api.query_language == "none" else Drawer(api, rng, records)
    drawn = fresh(sound(iter(drawer.call, None)), {c.canonical for c, _ in kept}, draw)
    everything = [c for c, _ in kept] + drawn
    budget = Budget(price_in, price_out, options.budget, options.max_tokens)
    sender = Sender(open_many(options.model, options.concurrency, threads=options.threads), _ledger(out), budget)
    try:
        teacher = LLMTeacher(sender, batch=options.batch, personas=personas, temperature=options.temperature)
        expected = estimate(teacher, everything, per_call)
        say(told(expected, bool(price_in or price_out)))
        if only_estimate:
            return expected
        found = teacher.words(everything, per_call)
    finally:
        sender.close()
    weights = [("log", w) for _, w in kept] + [("drawn", 1.0)] * len(drawn)
    return _write(api, out, config, teacher, found, weights, per_call)


def _ledger(out: Path) -> Ledger:
    return Ledger(out / ANSWERS)


def _write(
    api: API, out: Path, config: Row, teacher: LLMTeacher, found: Sequence[Worded],
    weights: Sequence[tuple[str, float]], per_call: int,
) -> dict[str, Any]:  # fmt: skip
    sender, model = teacher.sender, teacher.sender.model
    rows = list(allowed(_rows(found, weights, model, per_call)))
    rejects = [
        {**row(w.call, text, source, weight, teacher=model), "reason": reason}
        for w, (source, weight) in zip(found, weights, strict=True)
        for text, reason in w.rejected
    ]
    left = sum(not w.asked for w in found)
    if not rows:
        why = ", ".join(f"{n} {reason}" for reason, n in teacher.reasons.most_common(4)) or "nothing was asked"
        write_jsonl(out / "rejects.jsonl", rejects)
        raise QuerywrightError(
            f"{model} worded none of {len(found)} calls ({why})", hint=f"see {out / 'rejects.jsonl'}; a larger model"
        )
    n = write_jsonl(out / "pairs.jsonl", rows)
    write_jsonl(out / "rejects.jsonl", rejects)
    budget = sender.budget
    asked = {
        "model": model,
        "calls_asked": len(found) - left,
        "calls_worded": sum(bool(w.sentences) for w in found),
        "calls_left": left,
        "prompts_sent": sender.asked,
        "prompts_kept": sender.kept,
        "prompts_failed": sender.failed,
        "answers_lost": len(sender.ledger.lost),
        "tokens_in": budget.tokens_in,
        "tokens_out": budget.tokens_out,
        "money": round(budget.spent, 6),
        "rejected": dict(teacher.reasons.most_common()),
    }
    facts = {**report(api, rows), "llm": asked}
    write_json(out / "report.json", facts)
    write_manifest(out, config, ["pairs.jsonl", "rejects.jsonl", "report.json"], rows=n)
    say(
        f"pairs: {n} sentences of {model} for {asked['calls_worded']} of {asked['calls_asked']} calls; "
        f"{len(rejects)} sentences rejected ({_counted(teacher.reasons)}); {covered(facts)}"
    )
    say(f"{sender.asked} prompts sent, {sender.kept} answers from before; {budget}")
    if left:
        say(f"{left} calls were not asked about: the same command with a higher limit goes on")
    return facts


def _rows(
    found: Iterable[Worded], weights: Iterable[tuple[str, float]], model: str, per_call: int
) -> Iterator[Row]:  # fmt: skip
    seen: set[str] = set()
    for worded, (source, weight) in zip(found, weights, strict=True):
        for sentence, form in list(worded.sentences.items())[:per_call]:
            if sentence.lower() in seen:
                continue
            seen.add(sentence.lower())
            made = row(worded.call, sentence, source, weight, persona=worded.persona, teacher=model)
            yield {**made, "form": form, **({"description": worded.description} if worded.description else {})}


def cast(api: API, asked: str, seed: int) -> list[dict[str, str]]:
    """Personas in words: name, role, interests, and the style's name where it has one."""
    from querywright.pairs.personas import STYLES, given
    from querywright.pairs.style import style_of

    known = [(name, style_of({**shares}, name)) for name, shares in STYLES.items()]
    return [
        {
            "name": p.name,
            "role": p.role,
            "interests": ", ".join(p.interests),
            "style": next((name for name, style in known if style == p.style), ""),
        }
        for p in given(api, asked, seed)
    ]


def fresh(calls: Iterable[Call], known: set[str], n: int) -> list[Call]:
    """The first `n` calls that are none of the known ones, nor of each other; fewer where an API has no more."""
    found: list[Call] = []
    idle = 0
    for call in calls if n else ():
        idle += 1
        if call.canonical not in known:
            known.add(call.canonical)
            found.append(call)
            idle = 0
        if len(found) >= n or idle >= _PATIENCE:
            break
    return found


def prices(options: Options) -> tuple[float, float]:
    """Money for a million tokens in and out: the options', else those of `data/prices.yaml`, else nothing.

    Raises:
        QuerywrightError: a budget in money without prices.
    """
    given = (options.price_in, options.price_out)
    if any(p is not None and p < 0 for p in given):
        raise QuerywrightError("a price is below zero", hint="--price-in and --price-out are for a million tokens")
    if given == (None, None):
        entry = price_of(options.model)
        if entry is not None and not entry.local:
            say(
                f"prices: {entry.tokens_in:g} and {entry.tokens_out:g} for a million tokens in and out, "
                f"as of {entry.as_of}"
            )
            given = (entry.tokens_in, entry.tokens_out)
    if options.budget is not None and not any(given):
        raise QuerywrightError(
            "--budget is money, and this model has no price",
            hint="--price-in and --price-out for a million tokens, or --max-tokens-total",
        )
    return float(given[0] or 0), float(given[1] or 0)


def told(expected: Mapping[str, Any], priced: bool) -> str:
    """An estimate in one sentence."""
    e = expected
    text = f"estimate: {e['prompts']} prompts, about {e['tokens_in']:,} tokens in and {e['tokens_out']:,} out"
    text += f" ({e['money']:.4f})" if priced else ""
    text += f"; at most {e['most_tokens_in']:,} and {e['most_tokens_out']:,}"
    text += f" ({e['most_money']:.4f})" if priced else ""
    return text + (f"; {e['kept']} answers are there already" if e["kept"] else "")


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(f"{n} {reason}" for reason, n in reasons.most_common()) or "none"
