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
# folder (`work/<api>/eval/<name>`), or change the line below. Nothing is asked of a model here.

# %%
import json
import os
from pathlib import Path

from IPython.display import SVG, display
from rich.console import Console
from rich.table import Table

from querywright.api.definition import load
from querywright.evaluate import report, safe_pickle, score

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
    for metric in ("valid", "same", "ast_match", "fields_f1"):
        assert abs(here["metrics"][metric]["mean"] - there["metrics"][metric]["mean"]) < 1e-9, (metric, here["model"])
console.print(report.table(saved))

# %%
display(SVG(filename=str(folder / "scores.svg")))

# %% [markdown]
# ## What goes wrong
#
# One column a cell, one row a kind of error; a response can have several.

# %%
cells = scores["cells"]
kinds = sorted({kind for cell in cells for kind in cell["problems"]})
table = Table("error", *(f"{c['model']}\n{c['strategy']}\n{c['decoding']}" for c in cells))
for kind in kinds:
    table.add_row(kind, *(str(cell["problems"].get(kind, "")) for cell in cells))
console.print(table)

# %%
best = max(cells, key=lambda cell: cell["metrics"]["same"]["mean"])
table = Table("field meant", "field given", "n", title=f"Confused fields: {report.cell_name(best)}")
for meant, given, n in best["confused"]:
    table.add_row(meant, given, str(n))
console.print(table)

# %% [markdown]
# ## Kinds of request
#
# The signatures of the best cell, those asked most often first.

# %%
table = Table("signature", "n", "same %")
for line in best["signatures"][:25]:
    table.add_row(line["signature"], str(line["n"]), f"{100 * line['same']:.0f}")
console.print(table)
