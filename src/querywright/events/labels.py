"""People as integers that are one token each, so that one position of the answer holds a model's whole opinion.

Which integers are one token is a fact of the tokenizer, and of what stands before the answer: in a chat the answer
begins after `assistant` and a line's end, in a completion with a space. SmolLM2's tokenizer cuts numbers into digits:
in a chat it has ten labels, `0` to `9`, and after a space none. GPT-2's has a token for ` 42`. It is asked, not
assumed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from querywright.api.refusal import NIL
from querywright.engines.tokens import Encode
from querywright.errors import QuerywrightError

Style = Literal["chat", "completion"]
MOST = 1000
HEADS = {"chat": ("assistant\n", ""), "completion": ("\n\n###\n\n", " ")}
"""What stands before the answer in training, and what the answer begins with."""


def one_token(encode: Encode, text: str, style: Style = "chat") -> int | None:
    """The one token that an answer is, where it is one, on its own and behind what stands before it; else None."""
    head, lead = HEADS[style]
    alone = encode(lead + text)
    return alone[0] if len(alone) == 1 and encode(head + lead + text) == [*encode(head), *alone] else None


def free_labels(encode: Encode, style: Style = "chat", most: int = MOST) -> dict[str, int]:
    """The integers below `most` that are one token each, with their tokens.

    Raises:
        QuerywrightError: there are none.
    """
    found = {str(n): one_token(encode, str(n), style) for n in range(most)}
    labels = {text: token for text, token in found.items() if token is not None}
    if not labels:
        raise QuerywrightError(
            f"with this tokenizer no integer is one token in a {style}",
            hint="try --style chat" if style == "completion" else "choose another tokenizer",
        )
    return labels


def nil_tokens(encode: Encode, labels: dict[str, int], style: Style = "chat") -> list[int]:
    """The tokens of `nil`, whose first one tells it from every person.

    Raises:
        QuerywrightError: it begins with a person's token.
    """
    tokens = encode(HEADS[style][1] + NIL)
    if tokens[0] in labels.values():
        raise QuerywrightError(f"{NIL!r} begins with the token of a person", hint="choose another tokenizer")
    return tokens


@dataclass(frozen=True)
class People:
    """Who has a label.

    Attributes:
        label: by user.
        answers: how often each of them answers in the training examples.
        left_out: of the others, by reason: people, and their answers in the training examples.
    """

    label: dict[str, str]
    answers: dict[str, int]
    left_out: dict[str, tuple[int, int]]


def assign(answers: Sequence[Sequence[str]], free: Sequence[str], at_least: int) -> People:
    """Give the labels to those who answer most often; ties by user id.

    Args:
        answers: users who answered, of every training example: no later event has a say.
        free: labels in order.
        at_least: who answers less often can't be learnt and gets none.
    """
    counts = Counter(user for users in answers for user in users)
    ranked = sorted(counts, key=lambda user: (-counts[user], user))
    often = [user for user in ranked if counts[user] >= at_least]
    chosen, over = often[: len(free)], often[len(free) :]
    rare = ranked[len(often) :]
    reasons = {"fewer answers than needed": rare, "more people than labels": over}
    left = {reason: (len(users), sum(counts[u] for u in users)) for reason, users in reasons.items() if users}
    return People(dict(zip(chosen, free, strict=False)), {u: counts[u] for u in chosen}, left)
