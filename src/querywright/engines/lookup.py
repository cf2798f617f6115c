"""Prompt lookup: what a text may go on with, guessed from what the prompt says after the same tokens.

A guess costs nothing to make, and several tokens are checked by the model in one step; a wrong guess costs time alone.
(Saxena, "Prompt lookup decoding", 2023; Leviathan et al., "Fast inference from transformers via speculative decoding",
2023.)
"""

from __future__ import annotations

from collections.abc import Sequence

LONGEST = 3  # tokens that have to agree, at most


def drafted(prompt: Sequence[int], text: Sequence[int], most: int, shortest: int = 1) -> list[int]:
    """At most `most` tokens that followed the text's last ones in the prompt, the longest agreement first.

    Args:
        prompt: token ids; the text goes on behind it and is not searched itself.
        shortest: how many of the text's last tokens have to stand in the prompt.

    Returns:
        The guess, empty where the prompt has none.
    """
    for n in range(min(LONGEST, len(text)), shortest - 1, -1):
        end = list(text[-n:])
        for start in range(len(prompt) - n - 1, -1, -1):
            if prompt[start + n - 1] == end[-1] and list(prompt[start : start + n]) == end:
                return list(prompt[start + n : start + n + most])
    return []
