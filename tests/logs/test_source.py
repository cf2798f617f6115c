"""Reading: every line of a log is given exactly once, however it is packed, cut into shards and ended."""

import gzip
import io
import os
import random
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from querywright.errors import QuerywrightError
from querywright.logs import source as module
from querywright.logs.source import MAX_LINE, TOO_LONG, blocks, expand, lines, open_source, shards

zstandard = pytest.importorskip("zstandard", reason="needs the package zstandard")
TEXT = b"".join(b"/v3/gene/%d?fields=%s\n" % (n, b"x" * (n % 90)) for n in range(20_000))


def read(path: Path) -> list[bytes]:
    return list(lines(open_source(str(path))))


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends(tmp_path: Path, end: bytes, last: bool) -> None:
    expected = [b"/v3/gene/1", b"", b"/v3/gene/2", b"x y", b"/v3/gene/3"]
    log = write(tmp_path / "a.log", end.join(expected) + (end if last else b""))
    assert read(log) == expected


def test_no_line_and_empty_lines(tmp_path: Path) -> None:
    assert read(write(tmp_path / "empty", b"")) == []
    assert list(blocks(open_source(str(tmp_path / "empty")))) == []
    assert read(write(tmp_path / "one", b"\n")) == [b""]
    assert read(write(tmp_path / "two", b"\n\nx")) == [b"", b"", b"x"]
    assert read(write(tmp_path / "bom", b"\xef\xbb\xbf/v3/gene/1\n")) == [b"/v3/gene/1"]


def test_a_cr_within_a_line_of_a_unix_file_ends_nothing(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a", b"a\nb\rc\nd\r\r\n")) == [b"a", b"b\rc", b"d"]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.binary(max_size=40).filter(lambda b: not {*b"\n\r\x1f\x28\x2a"} & {*b}), max_size=40),  # nothing packed
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.booleans(),
    st.integers(1, 70),
)
def test_shards_cover_every_line_once(
    tmp_path_factory: pytest.TempPathFactory, texts: list[bytes], end: bytes, last: bool, size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "shards.log"
    log = open_source(str(write(path, end.join(texts) + (end if last else b""))))
    parts = [list(lines(log, start, stop)) for start, stop in shards(log, size)]
    assert [line for part in parts for line in part] == list(lines(log))
    assert len(shards(log, size)) == max(1, -(-path.stat().st_size // size))


def test_shards_of_any_size_with_long_lines(tmp_path: Path) -> None:
    r = random.Random(3)
    wanted = [bytes([65 + n % 26]) * r.choice([0, 3, 200, MAX_LINE, MAX_LINE + 1, 300_000]) for n in range(60)]
    log = open_source(str(write(tmp_path / "a", b"\n".join(wanted))))
    expected = [line if len(line) <= MAX_LINE else TOO_LONG for line in wanted]
    for size in (10_000, 65_536, 1 << 20, 1 << 30):
        assert [line for start, stop in shards(log, size) for line in lines(log, start, stop)] == expected


@pytest.mark.parametrize("packed", ["", "gzip", "zstd"])
def test_blocks_are_whole_lines_of_bounded_length(tmp_path: Path, packed: str) -> None:
    pack = {"": bytes, "gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}[packed]
    long = [b"y" * (MAX_LINE + 1), b"z" * MAX_LINE, b"w" * 3_000_000, b"v" * 70_000]
    data = b"/a\r\n" + long[0] + b"\n" + long[1] + b"\r\n" + long[2] + b"\n/b\n" + long[3]
    log = open_source(str(write(tmp_path / "a", pack(data))))
    assert log.packed == packed
    for block in blocks(log):
        assert block.endswith(b"\n")
        assert all(len(line) <= MAX_LINE for line in block.split(b"\n"))
    assert list(lines(log)) == [b"/a", TOO_LONG, b"z" * MAX_LINE, TOO_LONG, b"/b", TOO_LONG]


@pytest.mark.parametrize("packed", ["gzip", "zstd"])
def test_packed_logs_are_known_by_their_bytes_and_joined_ones_are_read(tmp_path: Path, packed: str) -> None:
    pack = gzip.compress if packed == "gzip" else zstandard.ZstdCompressor().compress
    half = TEXT.index(b"\n", len(TEXT) // 2) + 1
    log = write(tmp_path / "a.log", pack(TEXT[:half]) + pack(TEXT[half:]))
    assert read(log) == TEXT.splitlines()
    assert open_source(str(log)).head == TEXT[: len(open_source(str(log)).head)]
    assert shards(open_source(str(log)), 10) == [(0, None)]
    with pytest.raises(ValueError, match="in parts"):
        list(blocks(open_source(str(log)), 5))


@pytest.mark.parametrize("packed", ["gzip", "zstd"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "tail"])
def test_a_damaged_log_gives_what_it_has_and_says_so(
    tmp_path: Path, packed: str, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    r = random.Random(4)
    text = b"".join(b"/v3/gene/%d\n" % r.randrange(10**9) for _ in range(300_000))
    data = gzip.compress(text, 1) if packed == "gzip" else zstandard.ZstdCompressor().compress(text)
    middle = len(data) * 2 // 3
    data = {
        "cut": data[:middle],
        "flipped": data[:middle] + bytes(b ^ 255 for b in data[middle : middle + 40]) + data[middle + 40 :],
        "tail": data + b"not packed at all",
    }[damage]
    got = read(write(tmp_path / "a.log", data))
    assert 0 < len(got) <= 300_000
    whole = text.splitlines()
    good = len(got) - 1 if damage != "flipped" else len(got) // 2  # the last line may be cut, or its bytes wrong
    assert got[:good] == whole[:good]
    assert good > 1000
    assert "cut or damaged" in capsys.readouterr().err


@pytest.mark.parametrize("packed", ["", "gzip", "zstd"])
def test_memory_is_bounded_with_a_line_of_any_length(tmp_path: Path, packed: str) -> None:
    log = tmp_path / "a.log"
    piece = b"x" * (1 << 20)
    opened = {
        "": lambda: open(log, "wb"),  # noqa: SIM115
        "gzip": lambda: gzip.open(log, "wb", 1),  # noqa: SIM115
        "zstd": lambda: zstandard.open(log, "wb"),
    }[packed]
    with opened() as out:
        out.write(b"/v3/gene/1\n")
        for _ in range(200):
            out.write(piece)
        out.write(b"\n/v3/gene/2\n")
    tracemalloc.start()
    try:
        got = read(log)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert got == [b"/v3/gene/1", TOO_LONG, b"/v3/gene/2"]
    assert peak < 32 << 20


@pytest.mark.parametrize("packed", [False, True])
def test_standard_input_is_read_once_from_its_first_byte(monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    data = gzip.compress(TEXT) if packed else TEXT
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    log = open_source("-")
    assert log.kind == "stream"
    assert TEXT.startswith(log.head)
    assert list(lines(log)) == TEXT.splitlines()


def test_a_pipe_can_stand_for_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(TEXT))
    writer.start()
    assert expand([str(pipe)]) == [str(pipe)]
    assert read(pipe) == TEXT.splitlines()
    writer.join(5)


def test_a_real_pipe_through_another_process() -> None:
    code = "from querywright.logs.source import *; print(sum(1 for _ in lines(open_source('-'))))"
    done = subprocess.run([sys.executable, "-c", code], input=TEXT, capture_output=True, timeout=60, check=True)
    assert int(done.stdout) == 20_000


def test_patterns_are_sorted_and_a_missing_log_is_said(tmp_path: Path) -> None:
    for name in ("b.log", "a.log"):
        (tmp_path / name).touch()
    assert [p[-5:] for p in expand([str(tmp_path / "*.log")])] == ["a.log", "b.log"]
    assert len(expand([str(tmp_path / "a.log"), str(tmp_path / "*.log"), "-", "-"])) == 3
    for wrong in (str(tmp_path / "none*.log"), str(tmp_path)):
        with pytest.raises(QuerywrightError):
            expand([wrong])
    with pytest.raises(QuerywrightError, match="could not read"):
        open_source(str(tmp_path / "none"))


def test_zstd_without_its_package_names_the_install_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = write(tmp_path / "a.log", zstandard.ZstdCompressor().compress(TEXT))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(QuerywrightError) as caught:
        open_source(str(log))
    assert "querywright[logs]" in caught.value.hint


def test_the_head_is_the_start_of_the_first_block(tmp_path: Path) -> None:
    for data in (TEXT, TEXT.replace(b"\n", b"\r\n"), TEXT.replace(b"\n", b"\r"), b"x" * 200_000, b"\xef\xbb\xbfa\nb"):
        log = open_source(str(write(tmp_path / "a", data)))
        assert len(log.head) <= module.HEAD + 1
        assert log.head.splitlines()[:1] in ([next(lines(log))], [b"x" * 65_536])


def test_a_line_end_made_crlf_twice_ends_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"/v3/gene/1\r\r\n/v3/gene/2\r\n/v3/gene/3\n/v3/g\rene/4\r\r\r\n")
    assert list(lines(open_source(str(path)))) == [b"/v3/gene/1", b"/v3/gene/2", b"/v3/gene/3", b"/v3/g\rene/4"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_said(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.log"
    path.write_text("/v3/gene/1017?fields=symbol\n" * 3, encoding=encoding)
    with pytest.raises(QuerywrightError, match="UTF-16") as said:
        open_source(str(path))
    assert "iconv" in said.value.hint


@pytest.mark.parametrize(
    "start",
    [b"\x00" * 99, b"", b"a\x00" * 5, b"\xfe\xff", b"\xff\xfe/v3/gene/1", b"/v3/gene/1\n\x00\x00\n"],
)
def test_zeros_are_no_utf16(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(start)
    open_source(str(path))
