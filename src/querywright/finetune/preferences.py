"""Preference rows for DPO: a prompt, the answer that is wanted and one that is not.

One JSON object a line with ``prompt``, ``chosen`` and ``rejected``, each a list of chat messages or a string: as lists
they are what TRL's ``DPOTrainer`` reads as well (its conversational format, with or without a ``prompt`` of its own). A
string is the content of one message: of the user in ``prompt``, of the assistant in the others. ::

    {"prompt": [{"role": "system", "content": "Write the mygene call."}, {"role": "user", "content": "BRCA1 in mice"}],
     "chosen": [{"role": "assistant", "content": "/v3/query?q=symbol:BRCA1&species=mouse"}],
     "rejected": [{"role": "assistant", "content": "/v3/query?q=BRCA1"}]}

A prompt begins with the system message that is asked with, if any.

``querywright preferences execute`` and ``parse``, ``querywright feedback export`` and ``querywright conversations
convert -ot preferences`` write such rows. The wanted answers are best taken from a training split, the others from
what a model answered wrongly there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.artefacts import read_jsonl
from querywright.errors import QuerywrightError
from querywright.finetune.chat_rows import ROLES
from querywright.finetune.fit import check_choice, judge, shortened, uncut
from querywright.progress import say, track
from querywright.protected import refuse

Chat = list[dict[str, str]]
Sample = dict[str, list[int]]
HINT = (
    'each line is {"prompt": ..., "chosen": ..., "rejected": ...}, each a string or a list of '
    '{"role": ..., "content": ...}; chosen and rejected end with an assistant message'
)


@dataclass(frozen=True)
class Preference:
    """Messages up to the answer, and the two ways to go on."""

    prompt: Chat
    chosen: Chat
    rejected: Chat


def read_preferences(path: Path | str) -> list[Preference]:
    """The preference rows of a JSONL file; rows whose two answers are the same teach nothing and are left out, said.

    Raises:
        QuerywrightError: no such file, no rows, a line that is no preference row (its number is named, its text is
            not shown), or a protected sentence: see `querywright.protected`.
    """
    if not Path(path).is_file():
        hint = "dataset.source=FILE, as `querywright preferences execute` or `parse` writes it"
        raise QuerywrightError(f"no preference rows at {path}", hint=hint)
    rows = []
    for number, row in enumerate(read_jsonl(path), 1):
        try:
            rows.append(_preference(row))
        except ValueError as error:
            raise QuerywrightError(f"{path}, row {number}: not a preference row: {error}", hint=HINT) from None
    refuse(({"messages": [*row.prompt, *row.chosen, *row.rejected]} for row in rows), path)
    kept = [row for row in rows if row.chosen != row.rejected]
    if len(kept) < len(rows):
        say(f"{path}: {len(rows) - len(kept)} of {len(rows)} rows left out: their two answers are the same")
    if not kept:
        raise QuerywrightError(f"{path} holds no preference rows", hint=HINT)
    return kept


def _preference(row: dict[str, Any]) -> Preference:
    """A row of any of the layouts; raises ValueError with what is wrong."""
    missing = [key for key in ("chosen", "rejected") if key not in row]
    if missing:
        raise ValueError(f"it has no {' and no '.join(missing)}")
    chosen, rejected = (_chat(row[key], "assistant", key) for key in ("chosen", "rejected"))
    if "prompt" in row:
        prompt = _chat(row["prompt"], "user", "prompt")
    else:  # TRL's implicit prompt: what both conversations begin with
        same = [a == b for a, b in zip(chosen[:-1], rejected[:-1], strict=False)]
        prompt = chosen[: same.index(False) if False in same else len(same)]
    if not prompt:
        raise ValueError("it has no prompt, and chosen and rejected begin differently")
    answers = []
    for key, chat in (("chosen", chosen), ("rejected", rejected)):
        answer = chat[len(prompt) :] if chat[: len(prompt)] == prompt else chat
        if not answer or answer[-1]["role"] != "assistant":
            raise ValueError(f"{key} does not end with an assistant message")
        answers.append(answer)
    return Preference(prompt, *answers)


def _chat(value: Any, role: str, key: str) -> Chat:
    """A string as one message of ``role``; a list of messages as it is."""
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    if not isinstance(value, list) or not value:
        raise ValueError(f"{key} is neither a string nor a list of messages")
    for message in value:
        if (
            not isinstance(message, dict)
            or message.get("role") not in ROLES
            or not isinstance(message.get("content"), str)
        ):
            raise ValueError(f"a message of {key} has no role ({', '.join(ROLES)}) or no text")
    return [{"role": message["role"], "content": message["content"]} for message in value]


class PreferenceRows:
    """Tokenised preference rows, as torchtune's DPO recipes and their collate function take them.

    Each row is a dict with ``chosen_input_ids``, ``chosen_labels``, ``rejected_input_ids`` and ``rejected_labels``:
    lists of token ids, labels -100 outside the answer. ``report`` counts ``rows``, ``kept``,
    ``too_long``, ``truncated`` and the ``longest`` row.
    """

    def __init__(self, tokenizer: Any, *, source: str, too_long: str = "drop") -> None:
        check_choice(too_long)
        self._samples: list[Sample] = []
        report = {"rows": 0, "kept": 0, "too_long": 0, "truncated": 0, "longest": 0}
        with uncut(tokenizer) as limit:
            for row in track(read_preferences(source), "tokenising rows"):
                sample = _sample(tokenizer, row)
                report["rows"] += 1
                report["longest"] = max(report["longest"], _longest(sample))
                if limit and _longest(sample) > limit:
                    report["too_long"] += 1
                    cut = _fitted(tokenizer, row, limit) if too_long == "truncate" else None
                    if cut is None:
                        continue
                    report["truncated"] += 1
                    sample = _sample(tokenizer, cut)
                self._samples.append(sample)
        self.report = {**report, "kept": len(self._samples)}
        judge(self.report, limit, too_long, source)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        return self._samples[index]


def _sample(tokenizer: Any, row: Preference) -> Sample:
    """Token ids and labels of both answers, each with the prompt before it."""
    from torchtune.data import CROSS_ENTROPY_IGNORE_IDX, Message

    sample: Sample = {}
    for name, answer in (("chosen", row.chosen), ("rejected", row.rejected)):
        # the prompt's own assistant turns are context, and in the loss they would be in both answers
        messages = [Message(role=m["role"], content=m["content"], masked=True) for m in row.prompt]
        messages += [Message(role=m["role"], content=m["content"], masked=m["role"] != "assistant") for m in answer]
        prompt, _ = tokenizer.tokenize_messages(messages[: len(row.prompt)])
        tokens, mask = tokenizer.tokenize_messages(messages)
        shown = len(prompt) if tokens[: len(prompt)] == prompt else 0
        sample[f"{name}_input_ids"] = tokens
        sample[f"{name}_labels"] = [
            CROSS_ENTROPY_IGNORE_IDX if masked or i < shown else token
            for i, (token, masked) in enumerate(zip(tokens, mask, strict=True))
        ]
    return sample


def _longest(sample: Sample) -> int:
    return max(len(tokens) for tokens in sample.values())


def _fitted(tokenizer: Any, row: Preference, limit: int) -> Preference | None:
    """The row with less around its question (see `fit`), so that it fits with either answer; None where it can't."""

    def fits(messages: Chat) -> bool:
        return _longest(_sample(tokenizer, Preference(messages[:-1], row.chosen, row.rejected))) <= limit

    found = shortened([*row.prompt, row.chosen[-1]], fits)
    return Preference(found[:-1], row.chosen, row.rejected) if found else None


def preference_rows(tokenizer: Any, *, source: str, too_long: str = "drop") -> PreferenceRows:
    """Dataset component for torchtune's DPO recipes: ``source`` is a JSONL file of preference rows."""
    return PreferenceRows(tokenizer, source=source, too_long=too_long)
