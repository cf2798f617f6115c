"""Evaluate models by flags: `python src/eval_lm.py --config eval_configs/mygene_quick.yaml --model model.gguf`.

The same as `querywright eval CONFIG`, for scripts that call it this way. A flag takes several values with commas
between them.
"""

from __future__ import annotations

import argparse
import sys

from querywright.cli import main

# flags that narrow the sweep, and flags that are keys of its config
NARROWS = {
    "api": "only this API of several",
    "model": "only this model: a name in the sweep, or a path",
    "strategy": "only one of zero_shot, icl, icl_nearest, rag, rag_docs, rag_icl, tuned",
    "decoding": "only one of free, regex, grammar, grounded, gbnf",
    "n": "only so many samples a sentence, of which a vote takes one",
    "engine": "only one of llama, hf, outlines, server",
}
KEYS = {
    "pairs": "JSON lines with api, instruction, path",
    "examples": "pairs that icl shows, never those that are asked",
    "limit": "pairs for each cell",
    "temperature": "of several samples",
    "max-tokens": "where an answer is cut",
    "threads": "of the engine",
    "seed": "of the order of the pairs, of examples and samples",
    "out": "folder of everything written",
}


def arguments(given: list[str] | None = None) -> list[str]:
    """The arguments of `querywright` that these flags stand for."""
    parser = argparse.ArgumentParser(prog="eval_lm.py", description=__doc__)
    parser.add_argument("--config", default="eval_configs/mygene_quick.yaml", help="the sweep (default: %(default)s)")
    for flag, text in (NARROWS | KEYS).items():
        parser.add_argument(f"--{flag}", help=text)
    parser.add_argument("--json", action="store_true", help="print the scores of all cells as JSON")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="anything else of the config")
    read = vars(parser.parse_args(given))
    keys = {flag: flag.replace("-", "_") for flag in KEYS}
    laid_over = [f"{key}={read[key]}" for key in keys.values() if read[key] is not None]
    narrowed = [f"--{flag}={read[flag]}" for flag in NARROWS if read[flag] is not None]
    return ["eval", read["config"], *read["overrides"], *laid_over, *narrowed, *(["--json"] if read["json"] else [])]


if __name__ == "__main__":
    sys.argv[1:] = arguments()
    main()
