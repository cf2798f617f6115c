"""A text that is known already, as the tokens that a model would have written it with under a grammar.

The tokens that the grammar forces are no choices of the model, so they count nothing; at every other place it is kept
what was allowed. So a text that comes from elsewhere is weighed as one that was generated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from querywright.engines.base import MaskError
from querywright.engines.mask import Mask


@dataclass
class Written:
    """Tokens of a text; `choices`: (place, token, mask there) wherever the model chose, the text's end included."""

    tokens: list[int] = field(default_factory=list)
    choices: list[tuple[int, int, bytes | None]] = field(default_factory=list)


def written(
    text: bytes, mask: Mask | None, end: int, tokens_of: Callable[[bytes], list[int]],
    bytes_of: Callable[[list[int]], bytes],
) -> Written | None:  # fmt: skip
    """The tokens of a text and the choices in it; None where the mask does not allow the text.

    Args:
        end: the token that ends a text.
        tokens_of, bytes_of: the tokenizer, nothing added on either way.
    """
    path = Written()
    if mask is None:
        path.tokens = tokens_of(text)
        path.choices = [(place, token, None) for place, token in enumerate([*path.tokens, end])]
        return path
    left = text
    try:
        while True:
            forced = mask.forced()
            if forced:
                said = bytes_of(forced)
                if not left.startswith(said):
                    return None
            elif mask.must_end:
                return None if left else path
            elif not left:
                if not mask.may_end:
                    return None
                path.choices.append((len(path.tokens), end, mask.bits()))
                return path
            else:
                forced = tokens_of(left)[:1]
                said = bytes_of(forced)
                path.choices.append((len(path.tokens), forced[0], mask.bits()))
            for token in forced:
                mask.take(token)
            path.tokens += forced
            left = left[len(said) :]
    except MaskError:
        return None
