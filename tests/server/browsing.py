"""A browser of this machine, and what no page may do: ask another host, or make an error."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def chromium() -> str:
    """The path of a Chromium; the test is skipped where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    pytest.skip("no Chromium on this machine")


@dataclass
class Watch:
    """Hosts that pages asked, and errors that they made."""

    hosts: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def over(self, page: Any) -> Any:
        """The page, watched."""
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)
        return page


def screenshot(page: Any, folder: Path, name: str) -> None:
    """Keep a picture of the whole page, where `QUERYWRIGHT_SCREENSHOTS` says; it must not scroll sideways."""
    kept = Path(os.environ.get("QUERYWRIGHT_SCREENSHOTS", folder))
    kept.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(kept / f"{name}.png"), full_page=True)
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} scrolls sideways"
