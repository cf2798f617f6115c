"""The config of an evaluation on question rows: a YAML file, `key=value` on top, every mistake reported at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationError, field_validator, model_validator

from querywright.engines.catalogue import Entry, default_catalogue, public, read_catalogue
from querywright.engines.open import is_address
from querywright.errors import QuerywrightError, did_you_mean
from querywright.evaluate import config as sweeps
from querywright.evaluate.config import TextScores
from querywright.evaluate.models import Strict, one_or_more

Strategy = Literal["closed", "window", "rag"]
Samples = Annotated[int, Field(ge=1, le=32)]
EXAMPLE = "eval_configs/questions.yaml"
_MOST_CHARS, _MOST_LOCAL = 12_000, 4000


class Judge(Strict):
    """A model that grades answers.

    Attributes:
        name: of one of the models, or of its own where `entry` says what it is.
        entry: what is asked, as in a catalogue; that of the model of this name by default.
        criteria: what a good answer is, in words; there is a general text.
        most_chars: of each text that it is shown.
        controls: questions for which it also grades the reference itself and another question's answer: a judge that
            does not tell these apart can't be believed.
    """

    name: str = Field(min_length=1)
    entry: Entry | None = None
    criteria: str = Field(default="", max_length=4000)
    most_chars: int = Field(default=4000, ge=100, le=100_000)
    controls: int = Field(default=20, ge=0, le=1000)


class Config(Strict):
    """A sweep over question rows: every model with every strategy and number of samples.

    Attributes:
        models: entries as in a catalogue (`engines.catalogue`), by name; in a file also a list of a catalogue's names.
        name: of the outputs (`responses_<name>.jsonl`); the config file's name unless given.
        strategies: `closed`: the question alone; `window`: with the chunks that it was made from; `rag`: with the `k`
            chunks that retrieval finds.
        n: answers to each question, sampled at `temperature`, of which the one nearest to the others is taken; 1 takes
            one at the model's own temperature.
        k: chunks that are retrieved.
        max_tokens: of an answer, where the model's entry does not say.
        most_chars: of the passages that a question is shown with; what is longer is cut, and that is said. 12,000 by
            default, and 4,000 for a local model, whose context holds 4,096 tokens.
        limit: questions, drawn with `seed`; a smaller limit is a part of a larger one. None takes all.
        judge: who grades the answers; nobody by default.
        text_scores: `{meteor: true, bertscore: FOLDER}`; METEOR alone by default, where nltk is installed.
        rows, documents, out: where the command line finds and puts things; `evaluate_questions` is given them.
        catalogue: where the names of models in a list are looked up; the shipped one by default.
    """

    models: dict[str, Entry] = Field(min_length=1)
    name: str = "questions"
    strategies: tuple[Strategy, ...] = ("closed", "window", "rag")
    n: tuple[Samples, ...] = (1,)
    temperature: float = Field(default=0.7, gt=0, le=2)
    k: int = Field(default=4, ge=1, le=100)
    max_tokens: int = Field(default=64, ge=1, le=4096)
    most_chars: int | None = Field(default=None, ge=100, le=1_000_000)
    limit: int | None = Field(default=None, ge=1)
    judge: Judge | None = None
    text_scores: TextScores = TextScores(meteor=True)
    seed: int = Field(default=0, ge=0)
    rows: str = ""
    documents: str = ""
    out: str = ""
    catalogue: str = ""

    @field_validator("models")
    @classmethod
    def _names(cls, value: dict[str, Entry]) -> dict[str, Entry]:
        return sweeps.named(value)

    @field_validator("name")
    @classmethod
    def _file_name(cls, value: str) -> str:
        return sweeps.part_of_names(value)

    @field_validator("strategies", "n", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        return one_or_more(value)

    @field_validator("judge", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) and value else value or None

    @model_validator(mode="after")
    def _somebody(self) -> Config:
        if not self.strategies or not self.n:
            raise ValueError("at least one strategy, and one n")
        if self.judge is not None and self.judge.entry is None and self.judge.name not in self.models:
            raise ValueError(f"judge: {self.judge.name!r} is none of the models, and has no entry of its own")
        if self.judge is not None and self.judge.entry not in (
            None,
            self.models.get(self.judge.name, self.judge.entry),
        ):
            raise ValueError(f"judge: {self.judge.name!r} is the name of another model: give it a name of its own")
        return self

    @property
    def entries(self) -> dict[str, Entry]:
        """All that is to be opened, by name: the models, and the judge where it is none of them."""
        return {**self.models, **({self.judge.name: self.judge.entry} if self.judge and self.judge.entry else {})}

    def tokens_of(self, model: str) -> int:
        """The most that an answer of a model has."""
        entry = self.models[model]
        return entry.max_tokens if "max_tokens" in entry.model_fields_set else self.max_tokens

    def chars_of(self, model: str) -> int:
        """The most that a model is shown of passages."""
        return self.most_chars or (_MOST_CHARS if is_address(self.models[model].model) else _MOST_LOCAL)

    def public(self) -> dict[str, Any]:
        """As plain values, without what is one machine's own: folders, addresses, names of variables with keys."""
        data = self.model_dump(mode="json", exclude={"rows", "documents", "out", "catalogue"})
        data["models"] = {name: public(entry) for name, entry in self.models.items()}
        if self.judge is not None:
            data["judge"]["entry"] = public(self.entries[self.judge.name])
        if self.text_scores.bertscore:
            data["text_scores"]["bertscore"] = Path(self.text_scores.bertscore).name
        return data


def load(path: Path | str, overrides: Iterable[str] = (), only: Sequence[str] = (), **given: Any) -> Config:
    """Read a config file, `key=value` on top of it, and what is `given` (None where it is not) on top of that.

    Args:
        only: names of models: the config's own, or a catalogue's.

    Raises:
        QuerywrightError: no such file, no YAML, or mistakes in it; all of them are named, with the nearest known key.
    """
    raw = sweeps.read(path, overrides, short="model", example="questions.yaml")
    if isinstance(raw.get("judge"), dict) and isinstance(given.get("judge"), str):
        given["judge"] = {**raw["judge"], "name": given["judge"]}  # another judge, asked in the same way
        given["judge"].pop("entry", None)
    raw |= {key: value for key, value in given.items() if value is not None}
    if only:
        own = raw["models"] if isinstance(raw.get("models"), dict) else {}
        found = _known(raw, [name for name in only if name not in own])
        raw["models"] = {name: own[name] if name in own else found[name] for name in only}
        judge = raw.get("judge")
        judge = {"name": judge} if isinstance(judge, str) else judge
        if isinstance(judge, dict) and judge.get("name") in own and judge["name"] not in only:
            raw["judge"] = {"entry": own[judge["name"]], **judge}
    return check(raw, str(path))


def check(raw: Mapping[str, Any], where: str) -> Config:
    """Validate a config; `where` begins every message. Models that are names, and a judge that is one, are taken from
    the catalogue.

    Raises:
        QuerywrightError: mistakes in it, all of them named.
    """
    try:
        return Config.model_validate(_looked_up(raw))
    except ValidationError as error:
        lines = [_reason(item) for item in error.errors()]
        raise QuerywrightError(
            "\n  ".join([f"{where}: {len(lines)} mistake{'s' * (len(lines) > 1)}", *lines]),
            hint=f"correct them; {EXAMPLE} shows every key",
        ) from error


def _looked_up(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The config with entries in place of names."""
    data = dict(raw)
    models = data.get("models")
    names = [*one_or_more(models)] if isinstance(models, str | list | tuple) else []
    if isinstance(models, dict):
        data["models"] = {name: {"model": one} if isinstance(one, str) else one for name, one in models.items()}
    judge = data.get("judge")
    judge = {"name": judge} if isinstance(judge, str) and judge else judge
    known = data["models"] if isinstance(data.get("models"), dict) else {}
    asks = isinstance(judge, dict) and "entry" not in judge and judge.get("name") not in {*known, *names}
    if not names and not asks:
        return data
    if names:
        data["models"] = _known(data, names)
    if asks and isinstance(judge, dict) and isinstance(name := judge.get("name"), str):
        data["judge"] = {**judge, "entry": _known(data, [name])[name]}
    return data


def _known(raw: Mapping[str, Any], names: Sequence[str]) -> dict[str, Entry]:
    """Entries of the config's catalogue."""
    catalogue = read_catalogue(raw.get("catalogue") or default_catalogue(False)) if names else {}
    for name in names:
        if name not in catalogue:
            near = did_you_mean(str(name), [*catalogue])
            raise QuerywrightError(f"no model {name!r} in the catalogue{near}", hint=f"known: {', '.join(catalogue)}")
    return {name: catalogue[name] for name in names}


_KEYS: dict[str, type[Any]] = {"models": Entry, "judge": Judge, "text_scores": TextScores}


def _reason(item: Any) -> str:
    loc = [str(part) for part in item["loc"]]
    key = ".".join(loc) or "config"
    if item["type"] == "extra_forbidden":
        holder = Config if len(loc) < 2 else Entry if "entry" in loc else _KEYS.get(loc[0], Config)
        known = list(holder.model_fields)
        return f"{key}: unknown key{did_you_mean(loc[-1], known) or '; known are ' + ', '.join(known)}"
    if item["type"] == "missing":
        return f"{key}: is missing"
    if item["type"] == "literal_error":
        known = list(get_args(Strategy))
        return f"{key}: {item['input']!r} is none of {', '.join(known)}{did_you_mean(str(item['input']), known)}"
    if item["type"] == "value_error":
        return f"{key}: {item['msg'].removeprefix('Value error, ')}"
    shown = "" if "key" in key.rpartition(".")[2] else f", not {str(item['input'])[:60]!r}"
    return f"{key}: {item['msg']}{shown}"
