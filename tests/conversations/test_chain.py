"""The whole way through the commands: talks, verdicts, a database, rows to train on; and each step again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("sqlalchemy", reason="needs the extra serve")

from querywright.artefacts import read_jsonl
from querywright.cli.conversations import app
from querywright.conversations.document import read
from querywright.finetune.preferences import read_preferences
from tests.protocol import Chat, Service


def command(*words: str) -> str:
    """Run one; what it printed."""
    done = CliRunner().invoke(app, [*words])
    assert done.exception is None, done.exception
    return done.stdout


def test_from_talks_to_training_rows(raw: dict[str, Any], tmp_path: Path, chat: Chat, service: Service) -> None:
    talks = chat.answer

    def also_judges(body: dict[str, Any]) -> Any:
        if "=== ANSWER" not in body["messages"][-1]["content"]:
            return talks(body)
        found = re.findall(
            r"=== ANSWER [AB] (\w+) begins\n(.*?)\n=== ANSWER [AB] \1 ends", body["messages"][-1]["content"], re.S
        )
        (_, a), (_, b) = found  # the one whose model comes first in the alphabet
        return json.dumps({"better": "A" if a < b else "B"})

    chat.answer = also_judges
    files = {
        name: str(tmp_path / name) for name in ("c.json", "j.json", "o.json", "judged.json", "x.sqlite", "dpo.jsonl")
    }
    Path(files["c.json"]).write_text(json.dumps(raw))
    judges = [{"provider": "openai-compatible", "name": name, "url": service.url} for name in ("ann", "wise")]
    Path(files["j.json"]).write_text(json.dumps({"judge_llms": judges, "choice_strategy": "random"}))
    steps = [
        ("synthesize", "-c", files["c.json"], "-o", files["o.json"], "-n", "6"),
        ("judge", "-c", files["j.json"], "-i", files["o.json"], "-o", files["judged.json"]),
        ("convert", "-it", "json", "-i", files["judged.json"], "-ot", "db", "-o", files["x.sqlite"]),
        ("convert", "-it", "db", "-i", files["x.sqlite"], "-ot", "preferences", "-o", files["dpo.jsonl"]),
    ]
    for step in steps:
        command(*step)
    turns = [turn for conversation in read(files["judged.json"])["conversations"] for turn in conversation["turns"]]
    judged = [j for turn in turns for j in turn.get("judgements", ())]
    assert judged
    assert all(j["agreed"] for j in judged)
    assert {j["judge"] for j in judged} == {"ann", "wise"}
    for conversation in read(files["judged.json"])["conversations"]:
        took_part = {r["model"] for turn in conversation["turns"] for r in turn["responses"]}
        assert not took_part & {j["judge"] for turn in conversation["turns"] for j in turn["judgements"]}
    rows = read_jsonl(files["dpo.jsonl"])
    assert len(read_preferences(Path(files["dpo.jsonl"]))) == len(rows) == len(turns)
    for row in rows:
        assert row["chosen"][-1]["content"] < row["rejected"][-1]["content"]
    said = Path(files["dpo.jsonl"]).read_bytes()
    sent = len(service.requests)
    for step in steps:  # all of it is there
        command(*step)
    assert len(service.requests) == sent
    assert Path(files["dpo.jsonl"]).read_bytes() == said
