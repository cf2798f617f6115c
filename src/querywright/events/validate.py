"""A model on a whole part: the probability of each person at the answer's first token, and what follows from it.

Every label is one token, so one forward pass holds the model's opinion of everybody; nothing is generated or sampled.
Files: `PART.json` (all figures), `PART.png`, `PART.predictions.jsonl` (the five first choices of each row).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from querywright.artefacts import read_jsonl, sha256, write_json, write_jsonl
from querywright.engines.open import open_engine
from querywright.errors import QuerywrightError
from querywright.events.measure import measure
from querywright.events.plot import draw
from querywright.events.split import PARTS
from querywright.progress import say, track
from querywright.rows import Row, chat

if TYPE_CHECKING:
    import numpy as np

TOP = 5


def validate(
    folder: Path, model: str, out: Path, adapter: Path | None, part: str, threshold: float, batch: int
) -> Path:
    """Score a model on all rows of a part; returns the file of figures.

    Args:
        folder: what `events build` wrote.
        model: a checkpoint's folder or a GGUF file.
        threshold: probability from which a person is an alert.

    Raises:
        QuerywrightError: rows are missing, or the model cuts labels otherwise than the tokenizer they were chosen for.
    """
    if part not in PARTS:
        raise QuerywrightError(f"no part {part!r}", hint=f"--part is one of {', '.join(PARTS)}")
    path, labels = folder / f"{part}.jsonl", read_labels(folder / "labels.json")
    rows, train = read_jsonl(path), read_jsonl(folder / "train.jsonl")
    if not rows:
        raise QuerywrightError(f"{path} holds no rows", hint="querywright events build")
    engine = open_engine(model, adapter=adapter)
    try:
        scores = logprobs(engine, rows, labels, batch)
        facts = engine.describe()
    finally:
        engine.close()
    names = [*labels]
    found = measure(scores, names, rows, train, threshold)
    best = scores.argsort(axis=1)[:, ::-1][:, :TOP]
    kept = (
        {
            "id": r["id"],
            "message": r["message"],
            "answer": r["answer"],
            "top": [{"label": names[j], "logprob": round(float(scores[i, j]), 4)} for j in best[i]],
        }
        for i, r in enumerate(rows)
    )
    write_jsonl(out / f"{part}.predictions.jsonl", kept)
    draw(found, out / f"{part}.png", f"{part}: {len(rows)} rows, {Path(model).name}")
    write_json(out / f"{part}.json", {"part": part, "rows_sha256": sha256(path), "model": facts, **found})
    _say(part, found)
    return out / f"{part}.json"


def read_labels(path: Path) -> dict[str, int]:
    """Labels and `nil` (last) with the token that stands for each.

    Raises:
        QuerywrightError: no label map, or one whose answers do not follow a chat's line.
    """
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        labels = {str(p["label"]): int(p["token"]) for p in held["people"]}
        nil, style = held["nil"], held["style"]
        labels[str(nil["text"])] = int(nil["told apart by"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise QuerywrightError(f"no label map at {path}", hint="querywright events build writes it") from error
    if style != "chat":
        raise QuerywrightError(
            f"{path} has labels for the {style} style; models are asked in a chat here", hint="build with --style chat"
        )
    return labels


def logprobs(engine: Any, rows: Sequence[Row], labels: dict[str, int], batch: int = 16) -> np.ndarray:
    """[rows, labels] natural logs of the probability of each label's token as the first of the answer.

    Args:
        engine: with `next_logits` and `tokens` (transformers or llama.cpp).
        labels: with their tokens.

    Raises:
        QuerywrightError: the engine gives no probabilities, or cuts a label otherwise.
    """
    import numpy as np

    if not hasattr(engine, "next_logits"):
        raise QuerywrightError(
            "this engine does not give the probability of every token",
            hint="--model a checkpoint's folder or a GGUF file",
        )
    for name, token in labels.items():
        if engine.tokens(name)[0] != token:
            raise QuerywrightError(
                f"this model cuts the label {name!r} otherwise than the tokenizer it was chosen for",
                hint="querywright events build --tokenizer with the model's own tokenizer.json",
            )
    columns = list(labels.values())
    # prompts of one length share a pass
    order = sorted(range(len(rows)), key=lambda i: (len(rows[i]["instruction"]), i))
    asked = [chat(rows[i])["messages"][:-1] for i in order]
    scores = np.empty((len(rows), len(columns)))
    for i, logits in zip(order, track(engine.next_logits(asked, batch), "validate", len(rows)), strict=True):
        wide = logits.astype(np.float64)
        top = wide.max()
        scores[i] = wide[columns] - top - np.log(np.exp(wide - top).sum())
    return scores


def _say(part: str, found: dict[str, Any]) -> None:
    def text(s: dict[str, Any]) -> str:
        return "none" if s["mean"] is None else f"{s['mean']:.1%} [{s['low']:.1%}, {s['high']:.1%}]"

    say(f"{part}: accuracy {text(found['accuracy'])}, top 5 {text(found['top 5'])} on {found['rows']} rows")
    say("  without reading: " + ", ".join(f"{name} {s['mean']:.1%}" for name, s in found["baselines"].items()))
    at = next(a for a in found["alerts"] if a["threshold"] == found["threshold"])
    say(
        f"  {at['alerts']} alerts at {at['threshold']:g}: precision {text(at['precision'])}, "
        f"recall {text(at['recall'])}; calibration error {found['calibration error']:.1%}"
    )
