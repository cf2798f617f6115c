"""A config says all of its mistakes at once, and what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from querywright.errors import QuerywrightError
from querywright.evaluate import models
from querywright.evaluate.config import Config, load, select
from querywright.evaluate.sweep import cells, plan

GOOD = """
api: mygene
models:
  base: base
  tuned: {path: model.gguf, strategies: [tuned], limit: 40}
strategies: [zero_shot, rag]
limit: 12
limits: {rag: 5}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "quick.yaml"
    path.write_text(text)
    return path


def test_a_model_may_have_its_own_strategies_and_limit(tmp_path: Path) -> None:
    config = load(write(tmp_path, GOOD))
    assert (config.name, config.pairs) == ("quick", "work/mygene/pairs/test.jsonl")
    assert config.out == "work/mygene/eval/quick"
    assert [(c.name, c.limit) for c in cells(config)] == [
        ("base.zero_shot.free", 12), ("base.zero_shot.grammar", 12), ("base.rag.free", 5), ("base.rag.grammar", 5),
        ("tuned.tuned.free", 40), ("tuned.tuned.grammar", 40),
    ]  # fmt: skip


def test_key_value_pairs_lie_over_the_file(tmp_path: Path) -> None:
    given = ["limit=3", "models.tuned=other.gguf", "models.base.limit=2", "decodings=grammar", "n=1, 5", "seed=7"]
    config = load(write(tmp_path, GOOD), given)
    assert (config.limit, config.seed, config.decodings, config.n) == (3, 7, ("grammar",), (1, 5))
    assert config.models["tuned"].path == "other.gguf"
    assert config.models["tuned"].limit == 40, "the model's other settings stay"
    assert config.models["base"].limit == 2


def test_every_mistake_is_named_with_the_nearest_word(tmp_path: Path) -> None:
    text = "api: mygene\nmodels: {a: {path: x, limt: 3}}\nstrategys: [rag]\ndecodings: [gramar]\nlimit: 0\n"
    text += "limits: {rga: 2}\n"
    with pytest.raises(QuerywrightError) as caught:
        load(write(tmp_path, text))
    message = str(caught.value)
    assert "5 mistakes" in message
    for expected in (
        "models.a.limt: unknown key; did you mean 'limit'",
        "strategys: unknown key; did you mean 'strategies'",
        "'gramar' is none of free, regex, grammar, grounded, gbnf; did you mean 'grammar'",
        "limit:",
        "did you mean 'rag'",
    ):
        assert expected in message
    assert caught.value.hint


@pytest.mark.parametrize("text", ["- a\n", "a: [", "\tx: 1"])
def test_what_is_no_config_is_an_error_of_ours(tmp_path: Path, text: str) -> None:
    with pytest.raises(QuerywrightError):
        load(write(tmp_path, text))


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    with pytest.raises(QuerywrightError, match=r"did you mean 'quick\.yaml'"):
        load(tmp_path / "quik.yaml")


@pytest.mark.parametrize("text", ["limit", "=3", "limit=[1", "api.x=3"])
def test_an_override_that_is_none_is_an_error_of_ours(tmp_path: Path, text: str) -> None:
    with pytest.raises(QuerywrightError):
        load(write(tmp_path, GOOD), [text])


def test_flags_narrow_the_sweep(tmp_path: Path) -> None:
    config = load(write(tmp_path, GOOD))
    narrowed = select(config, {"model": "tuned", "decoding": "free", "strategy": None})
    assert [c.name for c in cells(narrowed)] == ["tuned.tuned.free"]
    assert narrowed.out == config.out + "-tuned-free", "it leaves the whole sweep's files alone"
    assert select(config, {}) == config
    one = select(config, {"model": "base", "strategy": "icl,rag_docs", "decoding": "free", "n": "1,5"})
    assert [c.name for c in cells(one)] == [
        "base.icl.free", "base.icl.free.n5", "base.rag_docs.free", "base.rag_docs.free.n5",
    ]  # fmt: skip
    assert one.out.endswith("quick-base-icl-rag_docs-free-n1-n5")
    other = tmp_path / "mine.gguf"
    other.write_bytes(b"")
    assert select(config, {"model": str(other)}).models["mine"].path == str(other)
    with pytest.raises(QuerywrightError, match="did you mean 'tuned'"):
        select(config, {"model": "tunde"})
    with pytest.raises(QuerywrightError, match="'5x'"):
        select(config, {"n": "5x"})


def test_every_dimension_makes_cells_and_one_sample_on_the_implied_engine_keeps_its_name(tmp_path: Path) -> None:
    text = """
api: mygene
models: {tuned: {path: {llama: m.gguf, hf: checkpoint, server: "http://127.0.0.1:1/v1"}}, small: s.gguf}
engines: [llama, hf, server]
decodings: [grammar, gbnf]
n: [1, 5]
limits: {n5: 7, hf: 3}
"""
    config = load(write(tmp_path, text))
    found, skipped = plan(config)
    names = {c.name: c.limit for c in found}
    assert names["tuned.tuned.grammar.n5.llama"] == 7
    assert names["tuned.tuned.grammar.n5.hf"] == 3
    assert names["small.tuned.gbnf.llama"] is None
    assert len(found) == 2 * 2 + 1 * 2 + 2 * 2 + 2 * 2
    assert [reason.partition(":")[0] for reason in skipped] == ["tuned.tuned.gbnf", "small", "small"]
    assert {c.source for c in found} == {"tuned.llama", "tuned.hf", "tuned.server", "small.llama"}
    plain = load(write(tmp_path, text), ["engines=null", "n=1", "models={small: s.gguf}", "decodings=grammar"])
    (cell,) = cells(plain)
    assert (cell.name, cell.source, cell.engine) == ("small.tuned.grammar", "small", "llama")


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("{path: m.gguf, engines: [hf]}", "hf takes a checkpoint folder, not m.gguf"),
        ("{path: 'http://x/v1', engines: [llama]}", "llama takes a GGUF file, not http://x/v1"),
        ("{path: {hf: m.gguf}}", "hf takes a checkpoint folder"),
        ("{path: {llama: m.gguf}, engines: [llama, hf]}", "no path for the engine hf"),
        ("{path: {lama: m.gguf}}", "lama"),
        ("{path: m.gguf, apis: [mychem]}", "mychem is none of mygene"),
        ("{path: m.gguf, n: [0]}", "n"),
    ],
)
def test_what_can_not_be_is_refused(tmp_path: Path, model: str, says: str) -> None:
    with pytest.raises(QuerywrightError) as caught:
        load(write(tmp_path, f"api: mygene\nmodels: {{a: {model}}}\n"))
    assert says in str(caught.value)


def test_a_model_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    config = load(write(tmp_path, "api: mygene\nmodels: {a: folder}\ndecodings: gbnf\n"))
    with pytest.raises(QuerywrightError, match="hf reads no gbnf"):
        cells(config)


def test_an_exported_folder_is_read_by_each_engine_as_it_can(tmp_path: Path) -> None:
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / "config.json").write_text("{}")
    for name in ("model-f16.gguf", "model-q8_0.gguf"):
        (tmp_path / name).write_bytes(b"")
    assert models.implied(str(tmp_path)) == "llama"
    assert models.opened("llama", str(tmp_path)) == str(tmp_path / "model-q8_0.gguf")
    assert models.unfit("hf", str(tmp_path)) == ""
    assert models.opened("hf", str(tmp_path)) == str(tmp_path / "merged")
    assert models.opened("outlines", str(tmp_path)) == f"outlines:{tmp_path / 'merged'}"


def test_several_apis_are_several_sweeps_side_by_side(tmp_path: Path) -> None:
    text = """
api: [mygene, mychem, defs/flights/api.yaml]
models:
  tuned: work/{api}/model/model-q8_0.gguf
  chem: {path: chem.gguf, apis: [mychem]}
"""
    config = load(write(tmp_path, text))
    assert (config.out, config.pairs) == ("work/eval/quick", "work/{api}/pairs/test.jsonl")
    gene, chem, flights = (config.of(api) for api in config.apis)
    assert gene.models["tuned"].path == "work/mygene/model/model-q8_0.gguf"
    assert [*gene.models] == ["tuned"]
    assert [*chem.models] == ["tuned", "chem"]
    assert flights.models["tuned"].path == "work/flights/model/model-q8_0.gguf"
    assert (flights.out, flights.pairs) == ("work/flights/eval/quick", "work/flights/pairs/test.jsonl")
    assert load(write(tmp_path, text), ["out=here"]).of("mygene").out == "here/mygene"
    assert select(config, {"api": "mygene"}).of("mygene").out == "work/mygene/eval/quick-mygene"
    assert [*select(config, {"api": "mygene"}).models] == ["tuned"]
    with pytest.raises(QuerywrightError, match="each API once"):
        load(write(tmp_path, text), ["api=[mygene, mygene]"])
    alone = load(write(tmp_path, text), ["api=[mychem]"])
    assert (alone.api, alone.out) == ("mychem", "work/mychem/eval/quick")


EVAL_CONFIGS = Path(__file__).parents[2] / "eval_configs"
# the one for question rows has a form of its own: see test_questions_scores.py
SHIPPED = sorted(path for path in EVAL_CONFIGS.glob("*.yaml") if path.stem != "questions")


@pytest.mark.parametrize("path", SHIPPED, ids=[p.stem for p in SHIPPED])
def test_the_shipped_configs_are_right(path: Path) -> None:
    assert isinstance(load(path), Config)
    first = path.read_text().splitlines()[0]
    assert first.startswith("# querywright eval "), "the header is the command that runs it"


def test_nothing_is_asked_twice_and_a_path_is_one(tmp_path: Path) -> None:
    config = load(write(tmp_path, GOOD), ["decodings=free,free", "n=[1, 1]", "models.tuned=tuned"])
    names = [c.name for c in cells(config)]
    assert len(names) == len(set(names)) == 3
    assert {c.engine for c in cells(config)} == {"llama"}, "what ask takes is a GGUF file"
    for wrong, said in (("models.tuned=", "no path"), ("name=../there", "files' names"), ("name=a/b", "files' names")):
        with pytest.raises(QuerywrightError, match=said):
            load(write(tmp_path, GOOD), [wrong])
