"""Judges' answers to a mix's requests, read: each response with its ratings by aspect, and counts of what was read."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from querywright.artefacts import content_id, numbered_jsonl, read_jsonl
from querywright.errors import QuerywrightError
from querywright.preferences.annotate.report import REQUESTS
from querywright.preferences.annotate.results import RESULTS, Answer
from querywright.preferences.aspects import ASPECTS
from querywright.preferences.mixture import FULL, aspect_files
from querywright.preferences.prompts import shards
from querywright.preferences.rated import EXECUTION, Row, rated
from querywright.preferences.rating_values import NOT_APPLICABLE, RATED
from querywright.preferences.ratings import ratings

_MIXES = "querywright preferences mix writes such rows"


def aspects_of(source: Path) -> list[str]:
    """The aspects that a mix asks about, the usual four first.

    Raises:
        QuerywrightError: it is not whole, or an aspect has the name of the judgement by execution.
    """
    found = [*aspect_files(source)]
    if EXECUTION in found:
        raise QuerywrightError(f"{source / EXECUTION}: the name of another judge", hint="another name for the aspect")
    return found


def mixed(source: Path) -> Iterator[Row]:
    """The rows of a mix: a prompt and the responses that its judge is shown, in that order.

    Raises:
        QuerywrightError: a row is none (file and row are named), or a prompt is there twice.
    """
    seen: dict[str, str] = {}
    for path in shards(source / FULL):
        for number, row in enumerate(read_jsonl(path), 1):
            where, responses = f"{path}, row {number}", row.get("responses")
            if not isinstance(row.get("prompt_hash"), str) or not isinstance(row.get("text"), str):
                raise QuerywrightError(f"{where}: no prompt_hash or no text", hint=_MIXES)
            whole = isinstance(responses, list) and all(
                isinstance(r, dict) and isinstance(r.get("model"), str) and isinstance(r.get("response"), str)
                for r in responses
            )
            if not whole:
                raise QuerywrightError(f"{where}: its responses are no list of model and response", hint=_MIXES)
            if row["prompt_hash"] in seen:
                raise QuerywrightError(f"{where}: the same prompt as in {seen[row['prompt_hash']]}", hint=_MIXES)
            seen[row["prompt_hash"]] = where
            yield row


class Counts:
    """What was read of the judges' answers.

    Attributes:
        aspects: those that the mix asks about.
        prompts: rows of the mix.
        states: by aspect, how many texts are in which state (see `rating_values.STATES`).
        answers: by aspect, how many answers are `parsed`, `unparsable` (no text rated, none said to be n/a), `cut`
            (of the parsed ones), `failed` or `missing`.
        foreign: answers to requests that are not of this mix.
        why: why requests failed, the commonest first.
        places: by aspect, the ratings that the first text got, the second one, ... .
    """

    def __init__(self, aspects: Sequence[str] = ASPECTS) -> None:
        self.aspects = list(aspects)
        self.prompts = self.foreign = 0
        self.states: dict[str, Counter[str]] = defaultdict(Counter)
        self.answers: dict[str, Counter[str]] = defaultdict(Counter)
        self.why: Counter[str] = Counter()
        self.places: dict[str, list[list[float]]] = defaultdict(list)

    @property
    def answered(self) -> int:
        """Answers, failed ones too, to requests of this mix."""
        return sum(
            n for counts in self.answers.values() for what, n in counts.items() if what not in ("missing", "cut")
        )

    def report(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Counts for a report file. An aspect that nobody was asked about is not there."""
        asked = [a for a in self.aspects if self.answers[a].total() > self.answers[a]["missing"]]
        by_judge: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for response in (r for row in rows for r in row["responses"]):
            for name, value in {**response["ratings"], "rating": response["rating"]}.items():
                if value is not None:
                    by_judge[response["model"]][name].append(value)
        return {
            "prompts": self.prompts, "aspects": asked, "not_asked": [a for a in self.aspects if a not in asked],
            "answers": {a: dict(self.answers[a].most_common()) for a in asked},
            "texts": {a: dict(self.states[a].most_common()) for a in asked},
            "by_place": {a: [_mean(values) for values in self.places[a]] for a in asked},
            "failed": dict(self.why.most_common(5)), "other_mix": self.foreign,
            "means": {
                model: {name: _mean(values) for name, values in found.items()}
                for model, found in sorted(by_judge.items())
            },
        }  # fmt: skip


def requests_beside(annotations: Path) -> list[Path]:
    """The requests that the results in a folder answer, where they are there: as `annotate convert` left them."""
    home = annotations if (annotations / RESULTS).is_dir() or annotations.name != RESULTS else annotations.parent
    return sorted((home / REQUESTS).glob("*.jsonl"))


def of_this_mix(said: dict[str, Answer], source: Path, annotations: Path, counts: Counts) -> dict[str, Answer]:
    """The answers without those to what another mix asked under the same name (prompt and aspect): the texts have other
    places there, and their ratings would be given to the wrong ones. They count as `foreign`."""
    asked = _asked(requests_beside(annotations), lambda row: row["body"]["messages"])
    if not asked:  # answers that came from elsewhere
        return said
    now = _asked((p for paths in aspect_files(source).values() for p in paths), lambda row: row["messages"])
    kept = {name: answer for name, answer in said.items() if asked.get(name) in (None, now.get(name))}
    counts.foreign += len(said) - len(kept)
    return kept


def _asked(paths: Iterable[Path], messages: Callable[[Row], Any]) -> dict[str, str]:
    """A digest of what is asked, by name."""
    found = {}
    for path in paths:
        for number, row in numbered_jsonl(path):
            try:
                said = [(m["role"], m["content"]) for m in messages(row)]
                found[str(row["custom_id"])] = content_id(json.dumps(said), 32)
            except (KeyError, TypeError) as error:
                raise QuerywrightError(f"{path}:{number}: no request (no {error})", hint=_MIXES) from error
    return found


def judged(rows: Iterable[Row], said: dict[str, Answer], counts: Counts) -> Iterator[Row]:
    """Rows of a mix as rated rows; what was read is counted."""
    used = 0
    asked = {name.rpartition("-")[2] for name in said} & set(counts.aspects)
    for row in rows:
        counts.prompts += 1
        given: list[dict[str, float | None]] = [{} for _ in row["responses"]]
        why: list[dict[str, str]] = [{} for _ in row["responses"]]
        for aspect in counts.aspects:
            answer = said.get(f"{row['prompt_hash']}-{aspect}")
            used += answer is not None
            if answer is None or answer.why:
                counts.answers[aspect]["missing" if answer is None else "failed"] += 1
                counts.why.update([answer.why] if answer else [])
                for of_text in given if aspect in asked else ():
                    of_text[aspect] = None
                continue
            whole = answer.text if answer.finish != "length" else re.sub(r"\S+\Z", "", answer.text)  # 4 may be 4.5
            read = ratings(whole, len(given))
            counts.states[aspect].update(rating.state for rating in read)
            known = any(rating.state in (RATED, NOT_APPLICABLE) for rating in read)
            counts.answers[aspect]["parsed" if known else "unparsable"] += 1
            if answer.finish == "length":
                counts.answers[aspect]["cut"] += 1
            places = counts.places[aspect]
            places += [[] for _ in read[len(places) :]]
            for of_text, reason, place, rating in zip(given, why, places, read, strict=False):
                of_text[aspect] = rating.value
                place += [] if rating.value is None else [rating.value]
                if rating.why:
                    reason[aspect] = rating.why
        responses = [rated(r, g, why=w) for r, g, w in zip(row["responses"], given, why, strict=True)]
        yield {**row, "responses": responses}
    counts.foreign += len(said) - used


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 3) if values else None
