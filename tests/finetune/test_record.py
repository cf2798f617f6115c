"""What a run leaves behind: losses that a resumed run goes on with, a picture, a manifest; and other loggers beside."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from querywright.artefacts import is_done, sha256, write_json
from querywright.errors import QuerywrightError
from querywright.finetune import loggers, record
from querywright.finetune.job import run_facts
from querywright.finetune.loggers import Several, with_losses
from querywright.finetune.record import JSONLogger, base_facts, finish_run, plot_losses, read_losses


def steps(logger: Any, first: int, last: int) -> None:
    for step in range(first, last + 1):
        logger.log_dict({"loss": 3.0 / step, "lr": 1e-3}, step=step)


def test_a_run_that_goes_on_keeps_its_losses(tmp_path: Path) -> None:
    first = JSONLogger(str(tmp_path))
    steps(first, 1, 9)  # killed after step 9; the last checkpoint is of step 6
    # made but not yet going on, as while an 8B model is loaded: a second kill here loses nothing
    second = JSONLogger(str(tmp_path))
    assert [row["step"] for row in read_losses(tmp_path / "losses.jsonl")] == list(range(1, 10))
    second.rewind(6)
    steps(second, 7, 10)
    second.close()
    rows = read_losses(tmp_path / "losses.jsonl")
    assert [row["step"] for row in rows] == list(range(1, 11))
    assert rows[2] == {"step": 3, "loss": 1.0, "lr": 0.001}
    fresh = JSONLogger(str(tmp_path))
    steps(fresh, 1, 2)
    assert [row["step"] for row in read_losses(tmp_path / "losses.jsonl")] == [1, 2]


def test_what_a_crash_and_a_divergence_leave_is_read(tmp_path: Path) -> None:
    logger = JSONLogger(str(tmp_path))
    steps(logger, 1, 2)
    logger.log("loss", float("nan"), 3)
    logger.close()
    with (tmp_path / "losses.jsonl").open("a", encoding="utf-8") as out:
        out.write('{"step": 4, "lo')
    rows = read_losses(tmp_path / "losses.jsonl")
    assert [row["loss"] for row in rows] == [3.0, 1.5, None]
    assert plot_losses(tmp_path).read_bytes().startswith(b"\x89PNG")


def test_the_picture_is_drawn_while_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(record.time, "monotonic", lambda: now[0])
    logger, picture, drawn = JSONLogger(str(tmp_path), plot_every_s=60), tmp_path / "losses.png", []
    for step in range(1, 13):
        now[0] = step * 10.0
        steps(logger, step, step)
        drawn.append(picture.is_file() and picture.stat().st_mtime_ns)
    assert drawn[4] is False
    assert drawn[5]
    assert len(set(drawn[5:])) == 2, "at 60 and at 120 seconds"
    monkeypatch.setattr(record, "plot_losses", lambda folder: 1 / 0)
    now[0] = 999.0
    steps(logger, 13, 14)  # a picture that fails ends nothing
    assert read_losses(tmp_path / "losses.jsonl")[-1]["step"] == 14


def finished(folder: Path, **changed: Any) -> dict[str, Any]:
    steps(JSONLogger(str(folder)), 1, 40)
    write_json(folder / "adapter" / "adapter_config.json", {})
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(b"weights")
    facts = {"settings": {"checkpointer": {"checkpoint_dir": str(folder / "base")}}, "data_sha256": "f00d"}
    given = {"backend": "peft", "steps": 40, "seconds": 20.04, "rows": 100, "tokens": 5000, "device": "cpu"}
    return finish_run(folder, facts, **{**given, **changed})


def test_the_manifest_says_what_was_run(tmp_path: Path) -> None:
    report = {"rows": 103, "too_long": 3}
    made = finished(tmp_path, dataset_report=report, peak_bytes=7, note="x")
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert {**manifest, **made} == manifest
    assert (made["backend"], made["steps"], made["seconds"], made["too_long"]) == ("peft", 40, 20.0, 3)
    assert (made["tokens"], made["tokens_per_s"], made["peak_memory_bytes"]) == (5000, 249.5, 7)
    assert made["mean_last_losses"] == pytest.approx(sum(3 / i for i in range(21, 41)) / 20, abs=1e-4)
    assert "torchao" not in made["packages"]
    assert {"python", "torch", "transformers", "peft"} <= made["packages"].keys()
    assert "(CPU, " in made["device"]
    assert set(manifest["files"]) == {"adapter/adapter_model.safetensors", "losses.jsonl", "losses.png"}
    assert is_done(tmp_path, manifest["config"])
    (tmp_path / "losses.jsonl").write_text("", encoding="utf-8")
    assert not is_done(tmp_path, manifest["config"])


def test_memory_is_this_process_s_own_by_default(tmp_path: Path) -> None:
    assert 10e6 < finished(tmp_path)["peak_memory_bytes"] < 1e12


def test_a_base_is_known_by_its_weights(tmp_path: Path) -> None:
    assert base_facts(tmp_path) == {}
    llama = {"model_type": "llama", "hidden_size": 4096, "rope_scaling": {"rope_type": "llama3", "factor": 8.0}}
    write_json(tmp_path / "config.json", llama)
    (tmp_path / "model-1.safetensors").write_bytes(b"one")
    one = base_facts(tmp_path)
    assert one["sha256"] == sha256(tmp_path / "model-1.safetensors")
    assert (one["name"], one["licence"]) == ("meta-llama/Llama-3.1-8B-Instruct", "llama3.1")
    (tmp_path / "model-2.safetensors").write_bytes(b"two")
    two = base_facts(tmp_path)
    (tmp_path / "model-2.safetensors").write_bytes(b"2")
    assert len({one["sha256"], two["sha256"], base_facts(tmp_path)["sha256"]}) == 3
    write_json(tmp_path / "config.json", {"model_type": "other"})
    assert base_facts(tmp_path)["licence"] == "unknown"


def test_who_is_told_the_losses_and_which_files_there_are(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    cfg = OmegaConf.create({"output_dir": "o", "dataset": {"source": str(tmp_path / "a")}, "metric_logger": {"x": 1}})
    facts = run_facts(cfg, "torchtune")
    assert facts["data_sha256"] == sha256(tmp_path / "a")
    cfg.metric_logger = {"_component_": "querywright.finetune.loggers.Several", "also": ["tensorboard"]}
    assert run_facts(cfg, "torchtune") == facts, "a run goes on with another logger"
    cfg.dataset = [{"source": str(tmp_path / "a")}, {"source": str(tmp_path / "b")}]
    assert run_facts(cfg, "torchtune")["data_sha256"] == [sha256(tmp_path / "a"), sha256(tmp_path / "b")]


class Broken:
    """A tracking server that goes away after the first step."""

    def __init__(self, **keys: Any) -> None:
        self.calls: list[str] = []
        self.keys = keys

    def log_config(self, config: Any) -> None:
        self.calls.append("config")

    def log_dict(self, payload: Any, step: int) -> None:
        self.calls.append(str(step))
        if step == 2:
            raise ConnectionError("no route\nto host")

    def close(self) -> None:
        self.calls.append("close")


def test_a_logger_of_somebody_s_own_gets_losses_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = Broken()
    logger = with_losses(own, tmp_path)
    assert with_losses(logger, tmp_path) is logger
    plain = JSONLogger(str(tmp_path))
    assert with_losses(plain, tmp_path) is plain
    logger.log_config(OmegaConf.create({"a": 1, "b": "${a}"}))
    logger.rewind(0)
    steps(logger, 1, 4)
    logger.close()
    assert own.calls == ["config", "1", "2"], "left out once it failed"
    assert [row["step"] for row in read_losses(tmp_path / "losses.jsonl")] == [1, 2, 3, 4]
    assert (tmp_path / "resolved.yaml").read_text(encoding="utf-8") == "a: 1\nb: 1\n"
    assert "Broken failed and is left out from here on (no route to host)" in capsys.readouterr().err


def test_names_that_nobody_has(tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="no logger is called 'tensorbord'; did you mean 'tensorboard'"):
        Several(str(tmp_path), also=["tensorbord"])
    with pytest.raises(QuerywrightError, match="neither a name nor a component"):
        Several(str(tmp_path), also=[{"log_dir": "x"}])
    assert loggers.unknown(["mlflow", {"_component_": "a.b"}]) == []


def test_tensorboard_goes_on_in_its_folder(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="an extra: pip install 'querywright[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray
    from torchtune import config

    node = {"_component_": "querywright.finetune.loggers.Several", "log_dir": str(tmp_path), "also": ["tensorboard"]}
    first = config.instantiate(OmegaConf.create(node))
    first.log_config(OmegaConf.create({"output_dir": str(tmp_path)}))
    first.rewind(0)
    steps(first, 1, 9)
    first.close()
    second = config.instantiate(OmegaConf.create(node))
    second.rewind(6)
    for step in range(7, 11):
        second.log_dict({"loss": 9.0}, step=step)
    second.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"tensors": 0})  # all of them
    events.Reload()
    # in the order written; of a step that came again TensorBoard shows the last
    found = {event.step: make_ndarray(event.tensor_proto).item() for event in events.Tensors("loss")}
    assert sorted(found) == list(range(1, 11))
    assert [found[step] for step in (1, 6, 7, 9, 10)] == [3.0, 0.5, 9.0, 9.0, 9.0]


def test_mlflow_goes_on_with_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="an extra: pip install 'querywright[mlflow]'")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    monkeypatch.chdir(tmp_path)
    for before, last in ((0, 4), (3, 6)):
        logger = Several(str(tmp_path / "run"), also=["mlflow"])
        logger.log_config(OmegaConf.create({"output_dir": str(tmp_path / "run"), "optimizer": {"lr": 0.1}}))
        logger.rewind(before)
        steps(logger, before + 1, last)
        logger.close()
    assert "MLFLOW_RUN_ID" not in os.environ
    client = mlflow.MlflowClient(tracking_uri=(tmp_path / "run" / "mlruns").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("querywright").experiment_id])
    history = client.get_metric_history(run.info.run_id, "loss")
    assert sorted({metric.step for metric in history}) == [1, 2, 3, 4, 5, 6]
    assert run.data.params["optimizer.lr"] == "0.1"
    assert not (tmp_path / "mlruns").exists()
