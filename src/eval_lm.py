"""Evaluate models by flags: `python src/eval_lm.py --config eval_configs/mygene_quick.yaml --model model.gguf`.

The same as `querywright eval CONFIG`, for scripts that call it this way.
"""

from __future__ import annotations

import argparse
import sys

from querywright.cli import main


def arguments(given: list[str] | None = None) -> list[str]:
    """The arguments of `querywright` that these flags stand for."""
    parser = argparse.ArgumentParser(prog="eval_lm.py", description=__doc__)
    parser.add_argument("--config", default="eval_configs/mygene_quick.yaml", help="the sweep (default: %(default)s)")
    parser.add_argument("--model", help="only this model: a name in the sweep, or a path")
    parser.add_argument("--strategy", help="only one of zero_shot, icl, icl_nearest, rag, tuned")
    parser.add_argument("--decoding", help="only one of free, grammar, grounded, gbnf")
    parser.add_argument("--pairs", help="JSON lines with api, instruction, path")
    parser.add_argument("--limit", help="pairs for each cell")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="anything else of the config")
    flags = vars(parser.parse_args(given))
    laid_over = [f"{key}={flags[key]}" for key in ("pairs", "limit") if flags[key] is not None]
    narrowed = [f"--{key}={flags[key]}" for key in ("model", "strategy", "decoding") if flags[key] is not None]
    return ["eval", flags["config"], *flags["overrides"], *laid_over, *narrowed]


if __name__ == "__main__":
    sys.argv[1:] = arguments()
    main()
