"""Which model answers for an API: the order, and that no other is taken silently."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from querywright.api.definition import load, shipped
from querywright.artefacts import write_manifest
from querywright.errors import QuerywrightError
from querywright.finetune import shipped as shipping
from tests.finetune.tiny import small_adapter


def test_no_model_at_all(tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="no tuned model for herbarium") as caught:
        shipping.ensure_model("herbarium", tmp_path)
    assert "querywright finetune" in caught.value.hint


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A data folder without adapters; a model is written as the bytes that its adapter's file holds."""
    monkeypatch.setattr(shipping, "data_dir", lambda: tmp_path / "data")
    shelf = Shelf(tmp_path)

    def write(base: Path, added: Any, targets: dict[str, Path], name: str, **_: Any) -> None:
        shelf.written.append(name.split()[-1])
        targets["q8_0"].write_bytes(f"{next(iter(added.values())).max()}".encode())

    monkeypatch.setattr(shipping, "write_gguf", write)
    monkeypatch.setattr(shipping, "packaged_gguf", lambda: Path("SmolLM2.gguf"))
    return shelf


class Shelf:
    """Where models may stand, and which were written."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.written: list[str] = []

    def ship(self, name: str, value: float = 1.0) -> None:
        """An adapter that comes with Querywright."""
        small_adapter(self.root / "data" / "adapters" / name, value)

    def train(self, workspace: str, **config: Any) -> None:
        """A model that was exported here, as `export` leaves it."""
        folder = self.root / "work" / workspace / "model"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / shipping.BEST).write_text(workspace)
        write_manifest(folder, {"source": "run", "prompt": shipping.prompt_id(), **config}, [shipping.BEST])

    def model(self, api: Any, workspace: str) -> str:
        """Which model answers: the workspace that it stands in."""
        work = self.root / "work"
        return str(shipping.ensure_model(api, work / workspace).parent.parent.relative_to(work))


def test_the_order_of_models(shelf: Shelf) -> None:
    """Each is put beside those that it goes before."""
    api = load("mychem")
    shelf.ship("general")
    assert shelf.model(api, "mychem") == "general"
    shelf.train("general")
    assert shelf.written == ["general"]
    assert shelf.model(api, "mychem") == "general"
    assert (shelf.root / "work/general/model" / shipping.BEST).read_text() == "general"  # the trained one is not lost
    shelf.ship("mychem")
    assert shelf.model(api, "mychem") == "mychem"
    assert shelf.written == ["general", "mychem"]
    shelf.train("chemistry")
    assert shelf.model(api, "chemistry") == "chemistry"
    assert shelf.written == ["general", "mychem"]


def test_one_general_model_serves_every_api_with_a_query_language(shelf: Shelf) -> None:
    shelf.ship("general")
    named = [name for name in shipped() if load(name).query_language == "lucene"]
    assert {shelf.model(load(name), f"of-{name}") for name in named} == {"general"}
    assert shelf.written == ["general"]  # merged once for all of them
    assert not list((shelf.root / "work").glob("of-*"))
    unseen = load(str(Path(__file__).parents[1] / "pairs" / "minerals" / "api.yaml"))
    assert shelf.model(unseen, "minerals") == "general"


def test_the_general_model_stands_beside_a_workspace_that_one_is_in(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.train("general")
    (shelf.root / "work" / "mychem").mkdir()
    monkeypatch.chdir(shelf.root / "work" / "mychem")
    found = shipping.ensure_model(load("mychem"), Path("."))
    assert found.resolve() == shelf.root / "work" / "general" / "model" / shipping.BEST


def test_a_typed_api_does_not_get_the_general_model(shelf: Shelf) -> None:
    """Its calls have parameters, of which that model knows nothing; nor does a name alone tell how an API is asked."""
    shelf.ship("general")
    shelf.train("general")
    for api, name in ((load("earthquakes"), "earthquakes"), ("herbarium", "herbarium")):
        with pytest.raises(QuerywrightError, match=f"no tuned model for {name}"):
            shelf.model(api, name)
    shelf.train("earthquakes")
    assert shelf.model(load("earthquakes"), "earthquakes") == "earthquakes"


@pytest.mark.parametrize(("workspace", "found"), [("mychem", "mychem"), ("general", "general")])
def test_a_model_for_another_prompt_is_told_not_used(shelf: Shelf, workspace: str, found: str) -> None:
    """Never silently, nor silently replaced: of an older version, whose record says nothing of prompts, or another."""
    shelf.ship("general")
    for config in ({"prompt": "0ther"}, {"prompt": None}):
        shelf.train(workspace, **config)
        with pytest.raises(QuerywrightError, match="trained for another prompt") as caught:
            shelf.model(load("mychem"), "mychem")
        assert f"work/{found}/model" in str(caught.value)
        assert "pairs split" in caught.value.hint
        shutil.rmtree(shelf.root / "work" / workspace)
    assert shelf.model(load("mychem"), "mychem") == "general"  # moved away, as the hint says


def test_a_shipped_adapter_is_merged_again_only_when_it_changed(shelf: Shelf) -> None:
    api, path = load("mychem"), shelf.root / "work" / "general" / "model" / shipping.BEST
    shelf.ship("general", 1.0)
    for _ in range(2):
        shelf.model(api, "mychem")
    assert (shelf.written, path.read_text()) == (["general"], "9.0")
    shelf.ship("general", 2.0)
    shelf.model(api, "mychem")
    assert (shelf.written, path.read_text()) == (["general"] * 2, "18.0")
    path.write_text("cut short")
    shelf.model(api, "mychem")
    assert (shelf.written, path.read_text()) == (["general"] * 3, "18.0")


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"config": 3, "files": []}', '{"files": null, "config": {}}'])
def test_a_damaged_record_is_no_model(shelf: Shelf, manifest: str) -> None:
    shelf.ship("general")
    folder = shelf.root / "work" / "mychem" / "model"
    folder.mkdir(parents=True)
    (folder / shipping.BEST).write_text("what is this")
    (folder / shipping.MANIFEST).write_text(manifest)
    assert shelf.model(load("mychem"), "mychem") == "general"


def test_the_prompts_id_follows_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    before = shipping.prompt_id()
    assert shipping.prompt_id() == before
    monkeypatch.setattr(shipping, "FIELDS", 9)
    more = shipping.prompt_id()
    monkeypatch.setattr(shipping, "system_line", lambda *_: "Write something else.")
    assert len({before, more, shipping.prompt_id()}) == 3
