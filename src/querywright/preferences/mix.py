"""Four answers to each prompt, drawn from all models, and what judges are asked about them.

    full/00000.jsonl     the prompt's row with `responses`: four of `model`, `sample`, `response`, in the judges' order
    ASPECT/00000.jsonl   `custom_id`, `aspect`, `prompt_hash`, `messages`
    manifest.json        written last

Only prompts that every chosen model has answered take part, so that no model is judged on easier prompts than another.
What is drawn for a prompt hangs on the seed and the prompt alone: more prompts, or another order, change nothing.

Source: Cui et al. 2023 (UltraFeedback: four models an instruction, four aspects); Lambert et al. 2024 (Tulu 3: one of
the four is the model that will be trained).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from querywright.artefacts import MANIFEST, alone, content_id, is_done, sha256, write_jsonl, write_manifest
from querywright.engines.catalogue import choose as choose_models
from querywright.errors import QuerywrightError, did_you_mean
from querywright.preferences.aspects import ASPECT, MOST_CHARS, Material, Template, material, render
from querywright.preferences.draw import ALIKE, FEWER, PROMPTS, RESPONSES, Answers, answers, draw, text_of
from querywright.preferences.mixture import FULL
from querywright.preferences.prompts import ROWS_PER_SHARD, Row, read_shards, shard_name, shards, write_shards
from querywright.preferences.ratings import TEXTS
from querywright.progress import say, track

UNANSWERED = "not answered by every model"
_STAGE = "preferences mix"


@dataclass(frozen=True)
class Options:
    """What `querywright preferences mix` was asked for.

    Attributes:
        source: the folder that `respond` wrote (`OUT/NAME`).
        out: gets `full/`, a folder for each aspect, and the manifest.
        only, without: models, by name.
        one_side: a model of which each prompt has exactly one answer; the others are from the other models.
        most_chars: of a text, as judges see it.
    """

    source: Path
    out: Path
    only: Sequence[str] = ()
    without: Sequence[str] = ()
    one_side: str = ""
    seed: int = 0
    per_shard: int = ROWS_PER_SHARD
    most_chars: int = MOST_CHARS


@dataclass
class Counts:
    """What came of the prompts.

    Attributes:
        left_out: prompts, by reason.
        unanswered: of each model the prompts that it has not answered.
        drawn: how often a model is among the four.
        alike: rows in which two of the four are the same text.
        cut: texts that judges see the beginning of.
    """

    prompts: int = 0
    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    unanswered: Counter[str] = field(default_factory=Counter)
    drawn: Counter[str] = field(default_factory=Counter)
    alike: int = 0
    cut: int = 0

    def facts(self) -> dict[str, Any]:
        """For the manifest."""
        counters = {name: dict(sorted(getattr(self, name).items())) for name in ("left_out", "unanswered", "drawn")}
        return {"prompts": self.prompts, "rows": self.rows, **counters, "alike": self.alike, "cut": self.cut}


def source_folder(given: Path, name: str) -> Path:
    """The folder that `respond` wrote: the one given, or the one called `name` in it.

    Raises:
        QuerywrightError: neither has responses.
    """
    for folder in (given, given / name):
        if (folder / RESPONSES).is_dir():
            return folder
    inside = sorted(p.parent.name for p in given.glob(f"*/{RESPONSES}")) if given.is_dir() else []
    raise QuerywrightError(
        f"no responses in {given}{did_you_mean(name, inside)}",
        hint=f"--input {given / inside[0]}"
        if inside
        else "querywright preferences respond --target OUT writes OUT/NAME",
    )


def mix(options: Options, templates: Sequence[Template], context: str = "") -> Counts | None:
    """Draw, render and write; None where it was done before.

    Args:
        context: what a prompt without a system message of its own was answered under, for the judges.

    Raises:
        QuerywrightError: models without answers, too few of them, damaged rows, or no prompt that is left.
    """
    models = _models(options)
    config = _config(options, models, templates, context)
    if (options.out / RESPONSES).is_dir():
        raise QuerywrightError(f"{options.out} holds what `respond` wrote", hint="another --name, or another --output")
    with alone(options.out):
        if is_done(options.out, config):
            say(f"{options.out}: mixed already")
            return None
        prompts = {str(row["prompt_hash"]): row for row in read_shards(options.source / PROMPTS)}
        found = answers(options.source, models, prompts)
        counts = Counts()
        rows = _draw_all(prompts, found, models, options, counts)
        if not rows:
            raise QuerywrightError(f"no prompt is left of {len(prompts)}: {told(counts)}", hint=_remedy(counts))
        before = _aspects_before(options.out)
        (options.out / MANIFEST).unlink(missing_ok=True)
        for aspect in before - {template.aspect for template in templates}:
            write_shards(options.out / aspect, [])
        paths = _write(options, rows, templates, context, counts)
        names = [path.relative_to(options.out).as_posix() for path in paths]
        write_manifest(options.out, config, names, **counts.facts())
    say(f"{counts.rows} of {counts.prompts} prompts, {TEXTS} answers each, {len(templates)} aspects: {options.out}")
    if counts.left_out:
        say(f"left out: {told(counts)}")
    say(f"drawn: {', '.join(f'{model} {n}' for model, n in counts.drawn.most_common())}")
    if counts.alike:
        say(f"{counts.alike} prompts have fewer than {TEXTS} different answers: some stand among the four twice")
    if counts.cut:
        say(f"{counts.cut} texts are longer than {options.most_chars:,} characters: judges see their beginnings")
    return counts


def _models(options: Options) -> list[str]:
    """The models that take part, each with a folder of responses."""
    known = sorted(p.name for p in (options.source / RESPONSES).iterdir() if p.is_dir() and shards(p))
    if not known:
        raise QuerywrightError(f"no model has answered in {options.source}", hint="querywright preferences respond")
    models = choose_models(known, options.only, options.without)
    if not options.one_side:
        return models
    if options.one_side not in known:
        near = did_you_mean(options.one_side, known)
        raise QuerywrightError(
            f"--one-side-model {options.one_side!r} has no answers{near}", hint=f"known: {', '.join(known)}"
        )
    if options.one_side in options.without:
        raise QuerywrightError(f"-x leaves the --one-side-model {options.one_side} out", hint="drop one of the two")
    if options.one_side not in models:
        say(f"{options.one_side} takes part, too: it is the --one-side-model")
        models = sorted([*models, options.one_side])
    if len(models) < 2:
        raise QuerywrightError("--one-side-model needs other models beside it", hint=f"known: {', '.join(known)}")
    return models


def _config(
    options: Options, models: Sequence[str], templates: Sequence[Template], context: str
) -> dict[str, Any]:  # fmt: skip
    read = [*shards(options.source / PROMPTS), *(p for m in models for p in shards(options.source / RESPONSES / m))]
    return {
        "stage": _STAGE, "models": [*models], "one_side": options.one_side, "seed": options.seed,
        "per_shard": options.per_shard, "most_chars": options.most_chars,
        "aspects": {t.aspect: content_id(t.system + t.user + t.question, 32) for t in templates},
        "context": content_id(context, 32),
        "source": {path.relative_to(options.source).as_posix(): sha256(path) for path in read},
    }  # fmt: skip


def _draw_all(
    prompts: Mapping[str, Row], found: Answers, models: Sequence[str], options: Options, counts: Counts
) -> list[Row]:
    rows = []
    for key, prompt in prompts.items():
        counts.prompts += 1
        mine = found.get(key, {})
        absent = [model for model in models if model not in mine]
        counts.unanswered.update(absent)
        four, reason = ([], UNANSWERED) if absent else draw(key, mine, one_side=options.one_side, seed=options.seed)
        if reason:
            counts.left_out[reason] += 1
            continue
        counts.drawn.update(one["model"] for one in four)
        counts.alike += len({text_of(one) for one in four}) < TEXTS
        rows.append({**prompt, "responses": four})
    counts.rows = len(rows)
    return rows


def _write(
    options: Options, rows: Sequence[Row], templates: Sequence[Template], context: str, counts: Counts
) -> list[Path]:
    """All shards of all folders; shards that an earlier and longer mix left behind are removed."""
    paths: list[Path] = []
    starts = range(0, len(rows), options.per_shard)
    for number, start in enumerate(track(starts, "rendering shards")):
        mine = rows[start : start + options.per_shard]
        shown = [material(row, context=context, most_chars=options.most_chars) for row in mine]
        counts.cut += sum(one.cut for one in shown)
        paths.append(options.out / FULL / shard_name(number))
        write_jsonl(paths[-1], mine)
        for template in templates:
            paths.append(options.out / template.aspect / shard_name(number))
            write_jsonl(paths[-1], (_asked(row, template, one) for row, one in zip(mine, shown, strict=True)))
    for folder in {path.parent for path in paths}:
        for path in {*shards(folder)} - {*paths}:
            path.unlink()
    return paths


def _asked(row: Row, template: Template, shown: Material) -> Row:
    key, aspect = row["prompt_hash"], template.aspect
    asked = {"custom_id": f"{key}-{aspect}", "aspect": aspect, "prompt_hash": key}
    return {**asked, "messages": render(template, shown)}


def _aspects_before(out: Path) -> set[str]:
    """The aspects that an earlier mix into this folder wrote: those that are not asked for now may not stay."""
    try:
        config = json.loads((out / MANIFEST).read_text(encoding="utf-8"))["config"]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    known = config.get("aspects") if isinstance(config, dict) and config.get("stage") == _STAGE else None
    return {name for name in known if re.fullmatch(ASPECT, name)} if isinstance(known, dict) else set()


def told(counts: Counts) -> str:
    """Why prompts were left out, in a line."""
    lacking = ", ".join(f"{model} lacks {n}" for model, n in counts.unanswered.most_common(5))
    parts = [
        f"{n} {reason}" + (f" ({lacking})" if reason == UNANSWERED else "")
        for reason, n in counts.left_out.most_common()
    ]
    return "; ".join(parts)


def _remedy(counts: Counts) -> str:
    reason = next(iter(counts.left_out.most_common(1)), ("", 0))[0]
    if reason == FEWER:
        return f"respond with more models, or with `samples` in the catalogue: a prompt needs {TEXTS} answers"
    if reason == ALIKE:
        return "respond with other models, or at a higher temperature"
    worst = next(iter(counts.unanswered.most_common(1)), ("MODEL", 0))[0]
    return f"run respond again to go on, or leave a model out: -x {worst}"
