"""What stands on top of a run's page in MLflow: what it is, its files, and links to the runs before and after it.

A note is made anew from what the store says, never added to: made twice, or by two at once, it is the same.
"""

from __future__ import annotations

import html
import re
from typing import Any

from server.evaluation.tracking_store import EXPERIMENTS, NOTE, Store

ABOUT, FILES = "querywright.about", "querywright.files"
UPLOAD_RUN, DATA_RUN = "querywright.upload_run", "querywright.data_run"
SHOWN = 12
_MARKED = re.compile(r"([\\`*_{}\[\]()#+\-.!|~])")


def links(store: Store, run: Any) -> dict[str, Any]:
    """The runs before and after a run by role, as MLflow has them: `upload`, `data` (one or None), `generations`,
    `evaluations` (lists)."""
    name, tags = experiment_of(store, run), run.data.tags
    found: dict[str, Any] = {}
    for role, tag in (("upload", UPLOAD_RUN), ("data", DATA_RUN)):
        if tags.get(tag):
            found[role] = tags[tag]
    after = {"data_upload": UPLOAD_RUN, "data_generation": DATA_RUN}.get(name)
    if after:
        later = store.tagged(after, run.info.run_id)
        of = {role: [one for one in later if experiment_of(store, one) == role] for role in EXPERIMENTS}
        if name == "data_upload":
            found["generations"] = of["data_generation"]
        found["evaluations"] = of["evaluation"]
    return found


def write_note(store: Store, run_id: str) -> None:
    """Write the note of a run anew, where it is still there."""
    run = store.known(run_id)
    if run is None:
        return
    tags = run.data.tags
    lines = []
    found = links(store, run)
    for role, words in (("upload", "Document"), ("data", "Questions")):
        if role in found and (other := store.known(found[role])):
            lines.append(f"- {words}: {_link(other)}")
    for role, words in (("generations", "Questions"), ("evaluations", "Evaluations")):
        if found.get(role):
            more = f" and {len(found[role]) - SHOWN} more" if len(found[role]) > SHOWN else ""
            lines.append(f"- {words}: {', '.join(map(_link, found[role][-SHOWN:]))}{more}")
    files = [path for path in tags.get(FILES, "").split("\n") if path]
    if files:
        here = page(run.info.experiment_id, run_id)
        lines.append("- To look at: " + ", ".join(f"[{_words(path)}]({here}/artifacts/{path})" for path in files))
    parts = [tags.get(ABOUT, "")]
    if lines:
        parts.append("\n".join(lines))
    note = "\n\n".join(part for part in parts if part)
    if note != tags.get(NOTE):
        store.client.set_tag(run_id, NOTE, note[:7900])


def page(experiment_id: str, run_id: str) -> str:
    """A run's page under MLflow's address."""
    return f"#/experiments/{experiment_id}/runs/{run_id}"


def experiment_of(store: Store, run: Any) -> str:
    """The name of a run's experiment; empty where it is none of ours."""
    return next((name for name in EXPERIMENTS if store.experiment(name) == run.info.experiment_id), "")


def escaped(text: str) -> str:
    """A text as Markdown shows it: nothing in it is a link, a picture or HTML."""
    return html.escape(_MARKED.sub(r"\\\1", " ".join(text.split())), quote=False)


def counted(n: int, one: str) -> str:
    """`1 chunk`, `1,204 chunks`."""
    return f"{n:,} {one}{'' if n == 1 else 's'}"


def _link(run: Any) -> str:
    return f"[{escaped((run.info.run_name or run.info.run_id)[:80])}]({page(run.info.experiment_id, run.info.run_id)})"


def _words(path: str) -> str:
    """`tables/chunks.json` as `chunks (table)`."""
    folder, _, name = path.rpartition("/")
    kind = {"tables": " (table)", "plots": " (picture)"}.get(folder, "")
    return escaped(name.rpartition(".")[0].replace("_", " ")) + kind
