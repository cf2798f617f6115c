"""What a run will cost, said before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from querywright.cli.conversations import app
from querywright.conversations.cast import Openers
from querywright.conversations.config import Config
from querywright.conversations.cost import estimate, told
from querywright.conversations.synthesize import synthesize
from querywright.errors import QuerywrightError
from tests.protocol import Chat, Service

Configured = Callable[..., Config]
N = 12


def test_nothing_is_sent_and_the_money_is_right(configured: Configured, service: Service) -> None:
    found = estimate(configured(), N)
    assert service.requests == []
    total, rows = found["total"], {row["model"]: row for row in found["models"]}
    assert [row["role"] for row in found["models"]] == ["user", "responder", "responder", "responder"]
    assert rows["somebody"]["calls"] == found["turns"]
    assert sum(rows[name]["calls"] for name in ("ann", "bob", "cid")) == 2 * found["turns"]
    assert total["money"] == pytest.approx((total["tokens_in"] + 4 * total["tokens_out"]) / 1e6)
    assert total["most_money"] > total["money"]
    assert "12 conversations" in told(found)


def test_it_is_near_what_is_paid_and_nearer_with_a_pilot(configured: Configured, tmp_path: Path, chat: Chat) -> None:
    config = configured()
    synthesize(config, tmp_path / "pilot.json", N, Openers())
    sent = len(chat.bodies)
    chat.tokens_in = chat.tokens_out = 0
    other = configured(seed=8, num_turns_min=2, num_turns_max=5)
    blind, known = estimate(other, N)["total"], estimate(other, N, tmp_path / "pilot.json")["total"]
    synthesize(other, tmp_path / "run.json", N, Openers())
    assert known["calls"] == len(chat.bodies) - sent
    assert known["tokens_out"] == pytest.approx(chat.tokens_out, rel=0.15)
    # four characters are a token at this server, and what stands around a message costs nothing
    assert chat.tokens_in <= known["tokens_in"] <= 2 * chat.tokens_in
    for name in ("tokens_in", "tokens_out"):
        assert getattr(chat, name) <= blind[f"most_{name}"]
        assert getattr(chat, name) <= known[f"most_{name}"]


def test_a_price_that_nobody_knows_is_said(configured: Configured, raw: dict[str, Any]) -> None:
    unpriced = {k: v for k, v in raw["eval_llms"][0].items() if not k.startswith("price")}
    found = estimate(configured(eval_llms=[unpriced, *raw["eval_llms"][1:]]), N)
    assert found["without_price"] == ["ann"]
    assert found["models"][1]["money"] is None
    assert "no price is known for ann" in told(found)
    local = [{"provider": "local", "name": f"{x}.gguf"} for x in "ab"]
    free = estimate(configured(eval_llms=local), N)
    assert free["without_price"] == []
    assert [row["money"] for row in free["models"][1:]] == [0, 0]


def test_prices_of_the_table_say_their_day(
    configured: Configured, raw: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prices.yaml").write_text("models:\n  ann: {in: 3, out: 5, as_of: 2026-11-01}\n")
    monkeypatch.setattr("querywright.engines.prices.data_dir", lambda: tmp_path)
    bare = [{k: v for k, v in llm.items() if not k.startswith("price")} for llm in raw["eval_llms"][:2]]
    row = estimate(configured(eval_llms=bare), N)["models"][1]
    assert (row["price_in"], row["price_out"], row["as_of"]) == (3, 5, "2026-11-01")
    assert row["money"] == pytest.approx((3 * row["tokens_in"] + 5 * row["tokens_out"]) / 1e6)


def test_personas_that_are_to_be_written_count(configured: Configured, raw: dict[str, Any]) -> None:
    keys = ("provider", "url", "name", "price_in", "price_out")
    writer = {f"persona_llm_{key}": raw[f"user_llm_{key}"] for key in keys}
    found = estimate(configured(use_personas=True, generate_num_personas=7, **writer), N)
    assert found["models"][0]["role"] == "personas"
    assert found["models"][0]["calls"] == 7
    assert found["models"][0]["most_calls"] == 28


@pytest.mark.parametrize("odd", ["x", [1], {}, None, -4, float("inf"), float("nan"), 1e300])
def test_a_pilot_with_odd_numbers_is_measured_by_its_texts(configured: Configured, tmp_path: Path, odd: Any) -> None:
    pilot = tmp_path / "pilot.json"
    synthesize(configured(), pilot, 6, Openers())
    found = json.loads(pilot.read_text())
    for turn in (turn for one in found["conversations"] for turn in one["turns"]):
        turn["tries"] = odd
        for response in turn["responses"]:
            response |= {"tokens_out": odd, "text": "\ud800" + "x" * 69}
    pilot.write_text(json.dumps(found))
    assert set(estimate(configured(), N, pilot)["lengths"]["responses"].values()) == {20.0}


def test_longer_talks_cost_more_than_in_proportion(configured: Configured) -> None:
    """What was said before is sent again with each turn."""
    two, eight = (estimate(configured(num_turns_min=t, num_turns_max=t), N)["total"] for t in (2, 8))
    assert eight["calls"] == 4 * two["calls"]
    assert eight["tokens_in"] > 8 * two["tokens_in"]


def test_a_pilot_has_to_be_one(configured: Configured, tmp_path: Path, raw: dict[str, Any]) -> None:
    with pytest.raises(QuerywrightError, match="could not read"):
        estimate(configured(), N, tmp_path / "none.json")
    synthesize(configured(eval_llms=raw["eval_llms"][:2]), tmp_path / "pilot.json", 2, Openers())
    with pytest.raises(QuerywrightError, match="cid did not answer"):
        estimate(configured(), N, tmp_path / "pilot.json")


def test_the_command_prints_json(raw: dict[str, Any], tmp_path: Path, service: Service) -> None:
    (tmp_path / "c.json").write_text(json.dumps(raw))
    done = CliRunner().invoke(app, ["estimate-cost", "-c", str(tmp_path / "c.json"), "-n", "5"])
    assert done.exception is None
    assert json.loads(done.stdout)["conversations"] == 5
    assert service.requests == []


def test_the_documentation_has_every_key() -> None:
    from querywright.artefacts import repo_dir
    from querywright.conversations.llm import LLM

    page = (repo_dir() / "docs" / "conversations.md").read_text(encoding="utf-8")
    page = page.partition("### The config\n")[2].partition("\n### ")[0]
    rows = {line.split("|")[1] for line in page.splitlines() if line.startswith("| `")}
    named = {key.strip(" `…").rstrip("_") for row in rows for key in row.split(",")}
    assert named == {*Config.model_fields, *LLM.model_fields}
    for kind in (Config, LLM):
        assert all(f"{name}" in (kind.__doc__ or "") for name in kind.model_fields)
