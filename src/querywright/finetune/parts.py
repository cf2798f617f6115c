"""What an export has made so far: one that was cut off, or is asked for more, makes the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from querywright.artefacts import content_id, sha256, write_json

PARTS = "parts.json"


class Parts:
    """Which parts of an export (files, or folders of weights) are made, and of what."""

    def __init__(self, out: Path, inputs: dict[str, Any]) -> None:
        """Read what an earlier export of the same ``inputs`` (all that parts are made of) noted."""
        self.out, self.key = out, content_id(json.dumps(inputs, sort_keys=True))
        try:
            found = json.loads((out / PARTS).read_text(encoding="utf-8"))
            self.made: dict[str, Any] = found["parts"] if found["of"] == self.key else {}
        except (OSError, ValueError, KeyError, TypeError):
            self.made = {}

    def whole(self, name: str) -> bool:
        """Whether a part (a file, or a folder of weights) is there as it was made."""
        return name in self.made and bool(self.made[name]) and self._hashes(name) == self.made[name]

    def note(self, name: str) -> None:
        """Say that a part is made."""
        self.made[name] = self._hashes(name)
        write_json(self.out / PARTS, {"of": self.key, "parts": self.made})

    def _hashes(self, name: str) -> dict[str, str]:
        path = self.out / name
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        return {file.name: sha256(file) for file in files if file.is_file()}
