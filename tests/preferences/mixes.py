"""A mix as judges get it, and a clock that takes no time."""

from __future__ import annotations

from pathlib import Path

from querywright.artefacts import write_jsonl, write_manifest


def mix(folder: Path, n: int = 5, aspects: tuple[str, ...] = ("helpfulness", "honesty")) -> Path:
    """A mix of `n` prompts, as `preferences mix` writes it, two files an aspect."""
    for aspect in aspects:
        rows = [
            {
                "custom_id": f"{i:016x}-{aspect}",
                "aspect": aspect,
                "prompt_hash": f"{i:016x}",
                "messages": [{"role": "user", "content": f"Rate {aspect} of answer {i}, é\u2028 and \"quotes\"."}],
            }
            for i in range(n)
        ]  # fmt: skip
        for part, some in enumerate((rows[: n // 2], rows[n // 2 :])):
            write_jsonl(folder / aspect / f"{part:05d}.jsonl", some)
    write_jsonl(folder / "full" / "00000.jsonl", [{"prompt_hash": "x", "text": "t", "responses": []}])
    return whole(folder)


def whole(folder: Path) -> Path:
    """Say that a mix was written to its end, as `mix` does."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*.jsonl"))
    write_manifest(folder, {"stage": "preferences mix"}, files)
    return folder


class Clock:
    """Waits that take no time."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)
