# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Scores of a sweep
#
# Reads what `querywright eval CONFIG` wrote: `responses_<name>.pkl` and `scores.json`. Set `QUERYWRIGHT_EVAL` to the
# folder (`work/<api>/eval/<name>`; of a sweep of several APIs the folder of one), or change the line below. Nothing is
# asked of a model here.

# %%
import json
import os
from pathlib import Path

from IPython.display import HTML, SVG, display
from rich.console import Console
from rich.table import Table

from querywright.api.definition import load
from querywright.evaluate import page_errors, report, safe_pickle, score
from querywright.evaluate.errors import collect

folder = Path(os.environ.get("QUERYWRIGHT_EVAL", "../work/mygene/eval/mygene_quick"))
saved = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
config = saved["config"]
console = Console(width=130, force_jupyter=False)
print(f"{config['api']}, {config['name']}: {config['pairs']}, seed {config['seed']}")

# %% [markdown]
# ## Responses
#
# The pickle holds plain dicts and strings; it is read by an unpickler that builds nothing else.

# %%
responses = safe_pickle.load(folder / f"responses_{config['name']}.pkl")
print(f"{len(responses)} responses; the first:")
print(json.dumps(responses[0], indent=1, ensure_ascii=False)[:1500])

# %% [markdown]
# ## Scores
#
# Computed again from the responses, without running the calls (so without `hits`), and compared with `scores.json`.

# %%
api = load(config["api"])
scores = score.score(api, responses, seed=config["seed"])
for here, there in zip(scores["cells"], saved["cells"], strict=True):
    for metric in {"valid", "same", "ast_match", "query_f1", "fields_f1"} & {*there["metrics"]}:
        assert abs(here["metrics"][metric]["mean"] - there["metrics"][metric]["mean"]) < 1e-9, (metric, here["name"])
console.print(report.table(saved))
if (refusals := report.refusals(saved)) is not None:
    console.print(refusals)

# %% [markdown]
# The charts of the report: scores, seconds an answer, and, where answers have a confidence, how far it can be trusted.

# %%
for name in ("scores", "latency", "confidence"):
    if (folder / f"{name}.svg").is_file():
        display(SVG(filename=str(folder / f"{name}.svg")))

# %% [markdown]
# ## Time, memory, cost

# %%
table = Table("cell", "p50 ms", "p95 ms", "tokens/s", "peak MB", "cost of 1,000")
for cell in saved["cells"]:
    values = (cell["ms"]["p50"], cell["ms"]["p95"], cell["tokens_per_s"], cell["peak_mb"], cell["cost"]["per_1000"])
    table.add_row(cell["name"], *map(report.number, values, (0, 0, 1, 0, 4)))
console.print(table)
print(*dict.fromkeys(cell["cost"]["note"] for cell in saved["cells"]), sep="\n")

# %% [markdown]
# ## What goes wrong
#
# One column a cell, one row a kind of error; a response can have several.

# %%
cells = scores["cells"]
kinds = sorted({kind for cell in cells for kind in cell["problems"]})
table = Table("error", *(cell["name"].replace(" · ", "\n") for cell in cells))
for kind in kinds:
    table.add_row(kind, *(str(cell["problems"].get(kind, "")) for cell in cells))
console.print(table)

# %% [markdown]
# Ten examples of each kind of the best cell, with what differs marked, as in `report.html`.

# %%
best = report.best(cells)
errors = [line for line in collect(scores["rows"]) if line["cell"] == best["name"]]
display(HTML(page_errors.errors(errors, [best], best["name"])))

# %%
table = Table("", "field meant", "field given", "n", title=f"Confused fields: {best['name']}")
for role, meant, given, n in best["confused"]:
    table.add_row(role, meant, given, str(n))
console.print(table)

# %% [markdown]
# ## Operators, fields, kinds of request
#
# Of the best cell: `n` sentences ask for it, `same` is the share of them right, `lost` is how often the answer lacks
# it, `added` how often it has it unasked.

# %%
for kind, heading in page_errors.TABLES.items():
    table = Table(heading, "n", "same %", "lost", "added", title=kind)
    for line in best[kind][:25]:
        same = "–" if line["same"] is None else f"{100 * line['same']:.0f}"
        table.add_row(line["name"], str(line["n"]), same, *(str(line.get(k) or "") for k in ("lost", "added")))
    console.print(table)
