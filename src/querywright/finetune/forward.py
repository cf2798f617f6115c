"""What a checkpoint on transformers answers, with or without an adapter at run time: greedily, and on given answers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from querywright.errors import QuerywrightError, need
from querywright.finetune.beside import TOPS
from querywright.finetune.plan_device import ram_available
from querywright.progress import track

BATCH = 25
Top = list[tuple[int, float]]  # the likeliest tokens of a place with their logits, the likeliest first


class Forward:
    """A causal language model; it computes in float32 where that fits into memory, else in the type it is stored in."""

    def __init__(self, folder: Path, parameters: int, adapter: Path | None = None) -> None:
        """Load a checkpoint, and an adapter beside it, which stays an adapter.

        Args:
            parameters: of the checkpoint, from which the type is chosen.

        Raises:
            QuerywrightError: transformers or PEFT could not load it.
        """
        self._torch: Any = need("torch", extra="train")
        transformers: Any = need("transformers", extra="train")
        transformers.utils.logging.disable_progress_bar()
        self.device = "cuda" if self._torch.cuda.is_available() else "cpu"
        free = self._torch.cuda.mem_get_info()[0] if self.device == "cuda" else ram_available()
        self.wide = not free or 4.6 * parameters < free
        dtype = self._torch.float32 if self.wide else "auto"
        try:
            warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers for a name that it will change
            model = transformers.AutoModelForCausalLM.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=dtype, trust_remote_code=False
            ).to(self.device)
            if adapter is not None:
                peft: Any = need("peft", extra="train")
                model = peft.PeftModel.from_pretrained(model, adapter, use_safetensors=True)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            said = str(error).strip().splitlines()[0]
            raise QuerywrightError(
                f"transformers could not load {adapter or folder}: {said}", hint="export it again"
            ) from error
        self._model: Any = model.eval()

    def greedy(
        self, prompts: Sequence[list[int]], stops: Sequence[int], most: int, what: str
    ) -> list[tuple[list[int], list[Top]]]:
        """For each prompt the likeliest answer, its end included, and the likeliest tokens of each of its places."""
        torch, done = self._torch, []
        for batch in _batches(prompts, what):
            width = max(map(len, batch))
            ids, seen, places = self._padded(batch, width, int(stops[0]))
            answers: list[list[int]] = [[] for _ in batch]
            tops: list[list[Top]] = [[] for _ in batch]
            going, cache = [True] * len(batch), None
            with torch.inference_mode():
                for _ in range(most):
                    out = self._model(
                        input_ids=ids, attention_mask=seen, position_ids=places, past_key_values=cache, use_cache=True,
                        logits_to_keep=1,
                    )  # fmt: skip
                    cache = out.past_key_values
                    found = self._tops(out.logits)
                    for i, [top] in enumerate(found):
                        if going[i]:
                            answers[i].append(top[0][0])
                            tops[i].append(top)
                            going[i] = top[0][0] not in stops
                    if not any(going):
                        break
                    ids = torch.tensor([[top[0][0]] for [top] in found], device=self.device)
                    seen = torch.cat([seen, torch.ones_like(seen[:, :1])], dim=1)
                    places = places[:, -1:] + 1
            done += list(zip(answers, tops, strict=True))
        return done

    def forced(self, prompts: Sequence[list[int]], answers: Sequence[list[int]], what: str) -> list[list[Top]]:
        """For each prompt, at each place of a given answer, the likeliest tokens: what greedy decoding would choose
        there, found in one pass."""
        done: list[list[Top]] = []
        order = list(zip(prompts, answers, strict=True))
        for batch in _batches(order, what):
            fed = [prompt + answer[:-1] for prompt, answer in batch]
            ids, seen, places = self._padded(fed, max(map(len, fed)), 0)
            keep = max(len(answer) for _, answer in batch)
            with self._torch.inference_mode():
                out = self._model(input_ids=ids, attention_mask=seen, position_ids=places, logits_to_keep=keep)
            for (_, answer), tops in zip(batch, self._tops(out.logits), strict=True):
                done.append(tops[len(tops) - len(answer) :])
        return done

    def _padded(self, rows: Sequence[list[int]], width: int, pad: int) -> tuple[Any, Any, Any]:
        """Ids, mask and positions, padded on the left: the last place is every row's last token."""
        ids = self._torch.tensor([[pad] * (width - len(row)) + row for row in rows], device=self.device)
        seen = self._torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=self.device)
        return ids, seen, (seen.cumsum(1) - 1).clamp(min=0)

    def _tops(self, logits: Any) -> list[list[Top]]:
        values, tokens = logits.float().topk(TOPS, dim=-1)
        return [
            [list(zip(t, v, strict=True)) for t, v in zip(ts, vs, strict=True)]
            for ts, vs in zip(tokens.tolist(), values.tolist(), strict=True)
        ]


def _batches(rows: Sequence[Any], what: str) -> Any:
    parts = [list(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH)]
    return track(parts, f"{what} (batches of {BATCH})")
