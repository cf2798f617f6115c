"""What other runs left behind: half a mix, judgements of another mix, outputs among the inputs; nothing is mixed up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from querywright.artefacts import read_jsonl, write_jsonl
from querywright.errors import QuerywrightError
from querywright.preferences.annotate.convert import Judge, convert
from querywright.preferences.annotate.report import Report
from querywright.preferences.annotate.results import answered as result
from querywright.preferences.mix import Options as Mixed
from querywright.preferences.mix import mix
from querywright.preferences.parse import Options, parse
from querywright.preferences.rated import read_rated
from tests.preferences.test_mix import MODELS, SHIPPED, answered

JUDGE = Judge("judge")


def judged(folder: Path) -> Path:
    """Results in which each model has a rating of its own, wherever it stands."""
    for path in (folder / "requests").glob("*.jsonl"):
        rows = []
        for row in read_jsonl(path):
            asked = row["body"]["messages"][-1]["content"]
            texts = re.findall(r"^=== TEXT (\d) (\w+) begins\n(\w+)", asked, re.M)
            said = "\n".join(f"Text {n}: {MODELS.index(model) + 1}" for n, _, model in texts)
            rows.append(result(row["custom_id"], said, model="j", finish="stop", tokens_in=1, tokens_out=1))
        write_jsonl(folder / "results" / path.name, rows)
    return folder


def made(folder: Path, n: int = 12, **options: int) -> tuple[Path, Path]:
    """A mix and what a judge said to it."""
    mix(Mixed(answered(folder / "in", n), folder / "mix", **options), SHIPPED)
    convert(folder / "mix", folder / "judged", JUDGE)
    return folder / "mix", judged(folder / "judged")


def test_half_a_mix_is_not_judged(tmp_path: Path) -> None:
    source, said = made(tmp_path, per_shard=4)
    (source / "manifest.json").rename(tmp_path / "kept")  # a mix that is killed has none
    for use in (lambda: convert(source, tmp_path / "a", JUDGE), lambda: parse(Options(source, said, tmp_path / "p"))):
        with pytest.raises(QuerywrightError, match=r"the mix in .* is not whole: no manifest.json") as error:
            use()
        assert "preferences mix" in error.value.hint
    (tmp_path / "kept").rename(source / "manifest.json")
    (source / "honesty" / "00002.jsonl").unlink()
    with pytest.raises(QuerywrightError, match=r"honesty/00002.jsonl is gone"):
        convert(source, tmp_path / "a", JUDGE)


def test_what_an_earlier_mix_left_is_not_asked(tmp_path: Path) -> None:
    source, _ = made(tmp_path)
    write_jsonl(source / "beauty" / "00000.jsonl", read_jsonl(source / "honesty" / "00000.jsonl"))
    assert all("beauty" not in shard.file for shard in convert(source, tmp_path / "a", JUDGE).shards)


def test_ratings_of_another_mix_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Requests are named after prompt and aspect; another mix puts other answers there under the same names."""
    source, said = made(tmp_path)
    report = parse(Options(source, said, tmp_path / "one"))
    means = {name: row["rating"] for name, row in report["means"].items()}
    assert means == {name: float(n) for n, name in enumerate(MODELS, 1)}
    answered(tmp_path / "in", says=lambda model, n, sample: f"{model} {n}.{sample}" + " more" * (n >= 9))
    mix(Mixed(tmp_path / "in", source), SHIPPED)
    for given in (said, said / "results"):
        report = parse(Options(source, given, tmp_path / "two"))
        assert report["other_mix"] == 3 * len(SHIPPED)
        assert report["answers"]["honesty"] == {"parsed": 9, "missing": 3}
        ratings = {(r["model"], r["rating"]) for row in read_rated(tmp_path / "two") for r in row["responses"]}
        assert ratings == {*means.items()} | {(name, None) for name in MODELS}
    assert "not of this mix" in capsys.readouterr().err
    mix(Mixed(tmp_path / "in", source, seed=5), SHIPPED)
    with pytest.raises(QuerywrightError, match="none of the 48 answers"):
        parse(Options(source, said, tmp_path / "two"))


def test_judgements_stay_good_where_a_mix_grows(tmp_path: Path) -> None:
    _, said = made(tmp_path, 6)
    mix(Mixed(answered(tmp_path / "more", 20), tmp_path / "larger"), SHIPPED)
    report = parse(Options(tmp_path / "larger", said, tmp_path / "out"))
    assert report["other_mix"] == 0
    assert report["answers"]["honesty"] == {"missing": 14, "parsed": 6}


def test_a_new_conversion_is_counted_anew(tmp_path: Path) -> None:
    source, _ = made(tmp_path)
    convert(source, tmp_path / "a", JUDGE, rows_per_shard=12)
    convert(source, tmp_path / "a", JUDGE, rows_per_shard=5)
    for shard in Report(tmp_path / "a").shards:
        assert shard.rows == len(read_jsonl(tmp_path / "a" / "requests" / shard.file))


def test_what_was_sent_stays_where_a_conversion_was_cut_short(tmp_path: Path) -> None:
    source, said = made(tmp_path)
    (said / "requests" / "manifest.json").unlink()
    with pytest.raises(QuerywrightError, match="sent or answered"):
        convert(source, said, JUDGE, rows_per_shard=5)
    assert (said / "requests" / "honesty-00000.jsonl").is_file()


@pytest.mark.parametrize("which", ["mix", "judged"])
def test_an_output_is_no_input(tmp_path: Path, which: str) -> None:
    source, said = made(tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(QuerywrightError, match="is the source"):
        parse(Options(source, said, tmp_path / which))
    with pytest.raises(QuerywrightError, match="is the source"):
        convert(source, tmp_path / "in" / ".." / "mix", JUDGE)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
