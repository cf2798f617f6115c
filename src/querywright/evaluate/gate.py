"""The gate after a training whose aim is not more right answers, such as DPO: is the model still as good as before?

Both models answer the same frozen sentences, under the decoding that is served and under free decoding, where nothing
but the model holds the answer's form together. The model is kept only if all of these hold:

1. Under each decoding it is not worse: of the right answers and of the valid ones, the lower end of the 95 % interval
   of the difference is above minus the margin. A test set that is too small to tell that does not pass.
2. Under the first decoding no shape of query got worse beyond a bound (`decision`, the third rule).
3. Where it is asked for: it is better with confidence (`decision`, the first rule), the more so the more models were
   compared with the same one on the same sentences.

Whether calls find the same records is shown beside these, and decides nothing: it is what judgement by execution trains
for, and a model that reaches the same records by another call has not learnt what was meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from querywright.api.definition import API
from querywright.artefacts import content_id, sha256
from querywright.errors import QuerywrightError
from querywright.evaluate import gate_log
from querywright.evaluate.config import Config, check
from querywright.evaluate.decision import Bounds, better, by_shape, compare, fallen, not_worse
from querywright.evaluate.judging import Scored, Sources, answers, changed, items
from querywright.evaluate.models import implied
from querywright.progress import say

if TYPE_CHECKING:
    from rich.table import Table

FILE = "gate.json"
VERSION = 1
EXPORT = "--before and --after take what `querywright export` writes: OUT/model-q8_0.gguf, or OUT/merged"
METRICS = {"same": "right answers", "valid": "valid answers", "hits_same": "same records found"}
_BINDING = ("same", "valid")
_SHAPES = 8  # the worst ones are shown


def plan(api: str, before: str, after: str, answers: Path, **settings: Any) -> Config:
    """The sweep that a gate compares two models by: each model by a name of its own, so that answers can be shared.

    Args:
        api: a shipped API's name, or a definition file.
        before, after: models as a sweep takes them.
        answers: the folder in which answers are kept.
        settings: more keys of a sweep's config: `pairs`, `decodings`, `limit`, `max_tokens`, `threads`, `records`.

    Raises:
        QuerywrightError: a mistake in these, or the same model twice.
    """
    names = [label(before), label(after)]
    if names[0] == names[1]:
        raise QuerywrightError(
            f"--before and --after are both {before}", hint="--before MODEL is what it was tuned from"
        )
    raw: dict[str, Any] = {"api": api, "name": f"gate-{names[1]}", "strategies": ["tuned"], "out": str(answers)}
    raw |= {"models": {name: {"path": path} for name, path in zip(names, (before, after), strict=True)}}
    return check(raw | {key: value for key, value in settings.items() if value is not None}, "eval gate")


def look_for(config: Config) -> None:
    """See that both models and the test set are there, before a model is merged or loaded.

    Raises:
        QuerywrightError: one is not.
    """
    for model in config.models.values():
        path = str(model.path)
        if path in ("base", "tuned") or "://" in path:
            continue
        if not Path(path.removeprefix("outlines:")).exists():
            raise QuerywrightError(f"no model at {path}", hint=EXPORT)
    if not Path(config.pairs).is_file():
        raise QuerywrightError(
            f"no test set at {config.pairs}",
            hint="`querywright pairs split` writes test.jsonl; or --pairs FILE: rows of api, instruction, path",
        )


def label(model: str) -> str:
    """A model's name in files: the last parts of its path, and an id of the whole."""
    where = model if "://" in model or model in ("base", "tuned") else str(Path(model).resolve())
    parts = [part for part in re.split(r"[/:#]+", where.removesuffix(".gguf")) if part][-2:]
    return f"{re.sub(r'[^A-Za-z0-9._+-]', '_', '-'.join(parts)).strip('._-') or 'model'}-{content_id(where, 6)}"


def gate(
    api: API, config: Config, sources: Sources, bounds: Bounds | None = None, *, must_gain: bool = False,
    records: Callable[[], Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Ask both models what they were not asked yet, compare, decide.

    Args:
        config: see `plan`; its two models are before and after, in this order.
        sources: what answers for them.
        must_gain: whether it also has to be better.
        records: opens an executor, for the share of calls that find the same records.

    Returns:
        `decide`'s, and what was compared: `api`, `before` and `after` (`name`, `path`, `weights`), `pairs` (`file`,
        `sha256`, `limit`), `max_tokens`, `at`.

    Raises:
        QuerywrightError: a model is not there, both have the same weights, no pairs of this API, or answers that failed
            for reasons that are not the model's; answers so far are kept.
    """
    here, missing = sources(config, api)
    if missing:
        raise QuerywrightError(f"no model at {', '.join(missing.values())}", hint=EXPORT)
    names = list(config.models)
    models = {
        which: {"name": name, "path": here[name].path, "weights": str(here[name].identity.get("weights", ""))}
        for which, name in zip(("before", "after"), names, strict=True)
    }
    old, new = models["before"], models["after"]
    if old["weights"] == new["weights"]:
        raise QuerywrightError(
            f"{old['path']} and {new['path']} have the same weights: there is nothing to compare",
            hint="querywright export --help: the file of the trained model",
        )
    kinds = {implied(one["path"]) for one in models.values()}
    if len(kinds) > 1:
        say(f"note: the models run on {' and '.join(sorted(kinds))}: a difference may be the engine's, not the model's")
    rows = answers(api, config, here, records)
    there = {(row["model"], row["decoding"]) for row in rows}
    absent = [
        f"{name} under {decoding}" for decoding in config.decodings for name in names if (name, decoding) not in there
    ]
    if absent:
        raise QuerywrightError(
            f"no answers of {', '.join(absent)}: the reason is said above", hint="--decoding with those that it can"
        )
    given, got = ([row for row in rows if row["model"] == name] for name in names)
    log, digest, at = Path(config.out), sha256(config.pairs), datetime.now(UTC).isoformat(timespec="seconds")
    gate_log.warn_changed(log, digest, config.pairs)
    tried = gate_log.tries(log, old["weights"], new["weights"], digest)
    found = decide(given, got, config.decodings, bounds, must_gain=must_gain, tries=tried, seed=config.seed)
    gate_log.append(log, gate_log.entry(old["weights"], new["weights"], digest, config.pairs, found["keep"], at))
    return {
        "version": VERSION, "at": at, "api": api.name, **models,
        "pairs": {"file": config.pairs, "sha256": digest, "limit": config.limit},
        "max_tokens": config.max_tokens, "seed": config.seed, **found,
    }  # fmt: skip


def decide(
    before: Scored, after: Scored, decodings: Sequence[str], bounds: Bounds | None = None, *,
    must_gain: bool = False, tries: int = 1, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Keep the model, or drop it.

    Args:
        before, after: scored answers to the same sentences under each of the decodings.
        decodings: the first is the one that is served.
        tries: models that were compared with the one before on these sentences, this one included.

    Returns:
        `keep`; `reasons`, why not, in sentences; `better`: whether it has more right answers, with confidence;
        `compared`: of each decoding `decision.compare` of each of METRICS, where it was told, with `before` and `after`
        for the two models, `tokens_out` (a mean answer's) and `cut` (answers that ran out of tokens); `shapes`: the
        same of each shape under the first decoding, the worst first; `changed`: the sentences that were won and lost
        under it; `tries`, `bounds`.
    """
    bounds = bounds or Bounds()
    reasons: list[str] = []
    compared: dict[str, Any] = {}
    shapes: list[dict[str, Any]] = []
    gain: list[str] = []
    changes: list[dict[str, str]] = []
    for decoding in decodings:
        old, new = ([row for row in rows if row["decoding"] == decoding] for rows in (before, after))
        found = {metric: compare(items("frozen", old, new, metric), seed) for metric in METRICS}
        for metric in _BINDING:
            reasons += [f"{decoding}: {r}" for r in not_worse(found[metric], bounds, METRICS[metric])]
        if decoding == decodings[0]:
            shapes = by_shape(items("frozen", old, new), bounds, seed)
            reasons += [f"{decoding}: {reason}" for reason in fallen(shapes, bounds)]
            gain = better(found["same"], bounds, tries)
            changes = changed("frozen", old, new)
        compared[decoding] = {
            **{metric: _named(one) for metric, one in found.items() if one["n"]},
            "tokens_out": {"before": _mean(old), "after": _mean(new)},
            "cut": {"before": _cut(old), "after": _cut(new)},
        }
    reasons += [f"{decodings[0]}: {reason}" for reason in gain] if must_gain else []
    return {
        "keep": not reasons, "reasons": reasons, "better": not gain, "must_gain": must_gain, "tries": tries,
        "bounds": asdict(bounds),
        "compared": compared, "shapes": [_named(line) for line in shapes],
        "changed": [{_OURS.get(key, key): value for key, value in line.items() if key != "part"} for line in changes],
    }  # fmt: skip


_OURS = {"current": "before", "candidate": "after"}


def _named(found: dict[str, Any]) -> dict[str, Any]:
    return {_OURS.get(key, key): value for key, value in found.items()}


def _mean(rows: Scored) -> float | None:
    known = [row["tokens_out"] for row in rows if row.get("tokens_out") is not None]
    return sum(known) / len(known) if known else None


def _cut(rows: Scored) -> int:
    return sum(row.get("finish") == "length" for row in rows)


def table(made: dict[str, Any]) -> Table:
    """Both models under each decoding, and the shapes that changed most for the worse."""
    from rich.markup import escape

    from querywright.evaluate.compared import HEADINGS, cells, grid

    who = ("before", "after")
    verdict = "keep" if made["keep"] else "drop"
    verdict += ", better with confidence" if made["better"] else ", not shown to be better"
    shown = grid(
        ("decoding", "per cent of sentences"), ("n", *who, *HEADINGS), title=f"{made['api']}: {verdict}",
        caption="95 % intervals. p: McNemar's exact test, one-sided, of the model being better.",
    )  # fmt: skip
    for decoding, found in made["compared"].items():
        for metric, words in METRICS.items():
            if metric in found:
                shown.add_row(decoding, *cells(words, found[metric], who), style="bold" if metric == "same" else "")
        shown.add_row(decoding, *_lengths(found))
    for line in [line for line in made["shapes"] if line["lost"]][:_SHAPES]:
        shown.add_row("", *cells(escape(line["shape"]), line, who))
    return shown


def _lengths(found: dict[str, Any]) -> list[str]:
    said_ = [
        f"{found['tokens_out'][w]:.0f}" + (f", {found['cut'][w]} cut" if found["cut"][w] else "")
        if found["tokens_out"][w] is not None
        else "–"
        for w in ("before", "after")
    ]
    return ["tokens an answer", "", *said_, *[""] * 4]
