"""The whole way through the real commands: talks, judged, into a database, out of it as prompts and preferences."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra serve")

from typer.testing import CliRunner

from querywright.cli.conversations import app
from querywright.conversations.convert import load
from querywright.conversations.document import read
from querywright.finetune.preferences import read_preferences
from tests.protocol import Chat


def test_from_talks_to_preferences(tmp_path: Path, raw: dict[str, Any], chat: Chat) -> None:
    plays = chat.answer

    def reply(body: dict[str, Any]) -> Any:
        if body["model"] != "wise":
            return plays(body)
        a = re.search(r"=== ANSWER A (\w+) begins\n(\w+)", body["messages"][-1]["content"])
        b = re.search(r"=== ANSWER B (\w+) begins\n(\w+)", body["messages"][-1]["content"])
        assert a is not None
        assert b is not None
        return json.dumps({"better": "A" if a[2] < b[2] else "B"})  # the earlier name in the alphabet

    chat.answer = reply
    files = {name: tmp_path / f"{name}.json" for name in ("config", "judge", "talks", "judged", "back", "again")}
    prompts, dpo, database = tmp_path / "prompts.jsonl", tmp_path / "dpo.jsonl", tmp_path / "chats.sqlite"
    files["config"].write_text(json.dumps(raw))
    url = raw["eval_llms"][0]["url"]
    llms = [{"provider": "openai-compatible", "name": name, "url": url} for name in ("ann", "somebody", "wise")]
    files["judge"].write_text(json.dumps({"judge_llms": llms, "choice_strategy": "min_cost"}))

    def run(*args: object) -> Any:
        done = CliRunner().invoke(app, [*map(str, args)])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout) if done.stdout.startswith("{") else None

    run("synthesize", "-c", files["config"], "-o", files["talks"], "-n", 6)
    report = run("judge", "-c", files["judge"], "-i", files["talks"], "-o", files["judged"])
    talks = read(files["judged"])
    turns = [turn for one in talks["conversations"] for turn in one["turns"]]
    names = [[r["model"] for r in turn["responses"]] for turn in turns]
    assert all(
        {j["judge"] for t in one["turns"] for j in t["judgements"]} == {"ann"}
        for one in talks["conversations"] if all(r["model"] != "ann" for t in one["turns"] for r in t["responses"])
    )  # fmt: skip
    assert "somebody" not in report["judges"]  # it played the users

    put = run("convert", "-i", files["judged"], "-ot", "db", "-o", database)
    assert put["total"]["chat_turn"] == len(turns)
    run("convert", "-it", "db", "-i", database, "-ot", "json", "-o", files["back"])
    back = read(files["back"])
    assert {c["id"]: c for c in back["conversations"]} == {c["id"]: c for c in talks["conversations"]}
    assert all(back[key] == talks[key] for key in ("config", "models", "user"))
    asked = len(chat.bodies)
    run("judge", "-c", files["judge"], "-i", files["back"], "-o", files["again"])
    assert len(chat.bodies) == asked  # all of it is judged already

    run("convert", "-it", "db", "-i", database, "-ot", "prompts", "-o", prompts)
    assert len(prompts.read_text().splitlines()) == len(turns)
    run("convert", "-it", "db", "-i", database, "-ot", "preferences", "-o", dpo)
    rows = [json.loads(line) for line in dpo.read_text().splitlines()]
    agreed = sum("wise" in {j["judge"] for j in t["judgements"]} for t in turns)
    assert len(rows) == len(read_preferences(dpo)) >= agreed > 0
    judged = {(r["conversation"], r["turn"]): r for r in rows}
    for one in talks["conversations"]:
        for place, turn in enumerate(one["turns"]):
            row = judged.get((one["id"], place))
            if turn["judgements"][0]["judge"] == "wise":
                assert row is not None
                assert row["chosen_model"] < row["rejected_model"]
    assert len(names) == len(turns)


def test_the_shipped_config_is_whole() -> None:
    from querywright.artefacts import data_dir

    assert load(data_dir() / "conversations" / "convert.json").batch_size == 200


def test_the_documentation_names_every_key_and_no_other() -> None:
    from querywright.artefacts import repo_dir
    from querywright.conversations.convert import Config as Convert
    from querywright.conversations.judges import Config as Judge

    text = (repo_dir() / "docs" / "conversations.md").read_text(encoding="utf-8")
    for heading, kind in (("## Judge", Judge), ("## Convert", Convert)):
        part = text.partition(f"\n{heading}\n")[2].partition("\n## ")[0]
        assert set(re.findall(r"^\| `(\w+)` \|", part, re.M)) == set(kind.model_fields), heading
