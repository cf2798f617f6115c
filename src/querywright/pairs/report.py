"""The report's files: page, figures, dataset card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from querywright.artefacts import write_json, write_text
from querywright.pairs.card import card
from querywright.pairs.report_page import write as write_page
from querywright.progress import say


def write(found: dict[str, Any], out: Path, source: Path, licence: str = "unknown") -> None:
    """Write `report.html`, `report.json` and `README.md` into a folder.

    Args:
        found: as `overview` gives it.
        source: what was reported on; a card in the same folder names the files for loading.
    """
    out.mkdir(parents=True, exist_ok=True)
    folder = source if source.is_dir() else source.parent
    write_json(out / "report.json", found)
    write_page(found, out / "report.html")
    write_text(out / "README.md", card(found, licence, here=folder.resolve() == out.resolve()))
    say(f"report: {out / 'report.html'}, {out / 'README.md'}: {found['rows']:,} pairs")
