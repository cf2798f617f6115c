"""Files that stages hand to each other: written whole or not at all, a manifest last.

A stage writes its files under temporary names and renames them; `manifest.json` is written last, so its existence
means that the stage is done. A stage that is run again compares the resolved config and the inputs' hashes with the
manifest and skips what it covers.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from querywright import __version__
from querywright.errors import QuerywrightError

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no such lock; two runs in one folder may then mix their files
    fcntl = None  # type: ignore[assignment]

MANIFEST = "manifest.json"
_LOOK_S = 0.05  # between two looks at whether another run has ended


def data_dir() -> Path:
    """The folder of shipped data: inside the installed package, or `data/` of the checkout."""
    packaged = Path(__file__).parent / "_data"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "data"


def repo_dir() -> Path:
    """The folder that holds `grammars/`, `ft_configs/` and `eval_configs/` (beside `data/`)."""
    return data_dir().parent if data_dir().name == "data" else data_dir()


def apart(source: Path | str, **outs: Path | str | None) -> None:
    """Refuse a command that would write over what it reads, or two of its files into one.

    Args:
        outs: files by the option that names them; None for one that is not written.

    Raises:
        QuerywrightError: two of the paths are the same file.
    """
    seen = {Path(source).resolve(): "the source"}
    for option, path in outs.items():
        place = None if path is None else Path(path).resolve()
        if place in seen:
            raise QuerywrightError(f"--{option} {path} is {seen[place]}", hint=f"another path for --{option}")
        if place is not None:
            seen[place] = f"--{option} too"


@contextmanager
def alone(folder: Path | str, *, patience_s: float = 0.0) -> Iterator[None]:
    """Keep other runs out of a folder, which is made: two at once would put their files under one manifest.

    Args:
        patience_s: how long to wait for another run, in seconds.

    Raises:
        QuerywrightError: another run works in it, still.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise QuerywrightError(
            f"could not make the folder {folder}: {error.strerror or error}", hint="choose another place"
        ) from error
    if fcntl is None:
        yield
        return
    try:
        held = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise QuerywrightError(
            f"could not open the folder {folder}: {error.strerror or error}", hint="choose another place"
        ) from error
    try:
        until = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() >= until:
                    hint = "wait for it, or choose another --out"
                    raise QuerywrightError(f"another run works in {folder}", hint=hint, retryable=True) from error
            time.sleep(_LOOK_S)
        yield
    finally:
        os.close(held)


@contextmanager
def replacing(path: Path | str, mode: str = "w", rights: int = 0o644) -> Iterator[IO[Any]]:
    """Open a temporary file beside `path`; it takes the name of `path`, and its rights, only if the block ends well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, mode, encoding=None if "b" in mode else "utf-8") as out:
            yield out
        os.chmod(temporary, rights)
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise QuerywrightError(
            f"could not write {path}: {error.strerror or error}", hint="free some space or choose another folder"
        ) from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_text(path: Path | str, text: str) -> None:
    """Write `text` to `path` atomically."""
    with replacing(path) as out:
        out.write(text)


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_text(path, _storable(value, indent=2) + "\n")


def write_jsonl(path: Path | str, rows: Iterable[dict[str, Any]]) -> int:
    """Write rows as JSON lines, atomically; returns how many."""
    n = 0
    with replacing(path) as out:
        for row in rows:
            out.write(_line(row))
            n += 1
    return n


def _line(row: dict[str, Any]) -> str:
    return _storable(row) + "\n"


def _storable(value: Any, indent: int | None = None) -> str:
    """A value as JSON; one with half a surrogate pair, which JSON can escape and UTF-8 can't hold, stays escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(value, indent=indent)
    return text


def read_jsonl(path: Path | str) -> list[dict[str, Any]]:
    """Read JSON lines.

    Raises:
        QuerywrightError: the file is missing, or a line is no JSON object (its number is named).
    """
    return [row for _, row in numbered_jsonl(path)]


def numbered_jsonl(path: Path | str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The same one by one, each with its line's number, from 1: what a message about a row names."""
    try:
        with open(path, encoding="utf-8-sig") as lines:  # editors put a byte order mark first
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:  # a number of 5,000 digits, lists in lists in lists
                    reason = getattr(error, "msg", None) or str(error).partition(";")[0]
                    raise QuerywrightError(
                        f"{path}:{number}: not a JSON line ({reason})", hint="one JSON object a line"
                    ) from error
                if not isinstance(row, dict):
                    raise QuerywrightError(f"{path}:{number}: not a JSON object", hint="one JSON object a line")
                yield number, row
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise QuerywrightError(f"could not read {path}: {reason}", hint="check the path") from error


def sha256(path: Path | str) -> str:
    """Hex digest of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def weights_sha256(path: Path | str, known: Mapping[str, str] | None = None) -> str | None:
    """Hex digest of a model's weights: of a file, or of a folder's adapter, else of its safetensors (of several files,
    the digest of a list of theirs); None where there are none.

    Args:
        known: digests that are known already, by file name: files of gigabytes take their time.
    """
    path = Path(path)
    if path.is_file():
        return sha256(path)
    adapter = path / "adapter_model.safetensors"
    files = [adapter] if adapter.is_file() else sorted(path.glob("*.safetensors"))
    digests = {file.name: (known or {}).get(file.name) or sha256(file) for file in files}
    if len(digests) < 2:
        return next(iter(digests.values()), None)
    return content_id("".join(f"{digest}  {name}\n" for name, digest in digests.items()), 64)


def content_id(text: str, n: int = 12) -> str:
    """A short, stable id of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:n]


def write_manifest(folder: Path | str, config: dict[str, Any], files: Iterable[str], **facts: Any) -> None:
    """Say that a stage is done: its resolved config, its files with their hashes, and facts such as row counts."""
    folder = Path(folder)
    hashes = {name: sha256(folder / name) for name in files}
    write_json(folder / MANIFEST, {"version": __version__, "config": config, "files": hashes, **facts})


def is_done(folder: Path | str, config: dict[str, Any]) -> bool:
    """Whether a manifest covers `config` and every file that it names is there, unchanged."""
    folder = Path(folder)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if manifest.get("config") != json.loads(json.dumps(config)):
        return False
    return all((folder / n).is_file() and sha256(folder / n) == h for n, h in manifest.get("files", {}).items())
