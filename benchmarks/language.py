"""What an API's language costs: compiling its grammar, a mask a token, reading a million distinct calls.

    python benchmarks/language.py [--calls 1000000] [--workers 2] [--strings 100000]

Prints one row an API, from one run. `build`: definition to grammar. `mask`: that grammar to llguidance's first mask.
`ms/token`: one mask with SmolLM2's vocabulary, along calls of the language (median, 95th percentile). Calls are read
and brought into canonical form by all workers; each is another one. With `--strings` lark and llguidance judge that
many strings of each language, half of them edited, and the row says how many they both took and both refused; a
disagreement ends the run. Needs the extras llama and train (for the packaged tokenizer).
"""

from __future__ import annotations

import argparse
import os
import random
import re
import runpy
import statistics
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from querywright.api.call import parse
from querywright.api.definition import API, load, shipped
from querywright.api.grammar import build, mask_source

LANGUAGES = runpy.run_path(str(Path(__file__).parents[1] / "tests" / "api" / "languages.py"))
BASES = 2000


def drawn(api: API, n: int, seed: int = 0) -> list[str]:
    """`n` different calls of an API's language."""
    sampler, found = LANGUAGES["Sampler"](LANGUAGES["parser"](api), seed), dict[str, None]()
    while len(found) < n:
        text = sampler.draw()
        if len(text) < 400 and LANGUAGES["by_lark"](api, text):
            found[text] = None
    return list(found)


def asked(api: API, n: int) -> list[str]:
    """Calls as people ask them: drawn for training, one to three clauses and up to three parameters."""
    from querywright.pairs.draw import Drawer
    from querywright.pairs.typed_draw import TypedDrawer

    rng = random.Random(0)
    drawer = TypedDrawer(api, rng, [], []) if api.query_language == "none" else Drawer(api, rng, [])
    calls = (drawer.call() for _ in range(2 * n))
    dated = re.compile(r"=\d{4}-\d\d-\d\d")
    return [c.path for c in calls if c.query is not None or (api.query_language == "none" and dated.search(c.path))][:n]


def distinct(bases: list[str], first: int, n: int) -> Iterator[str]:
    """`n` calls, all different: each an asked one with a word, or a moment, of its own number."""
    for i in range(first, first + n):
        text = bases[i % len(bases)]
        head, q, rest = text.partition("?q=")
        moment = f"{1700 + i // 31_536_000:04}-01-01T{i // 3600 % 24:02}:{i // 60 % 60:02}:{i % 60:02}.{i // 86_400:06}"
        yield f"{head}?q=w{i}%20{rest}" if q else re.sub(r"=\d{4}-\d\d-\d\d[^&]*", f"={moment}", text, count=1)


def read_many(name: str, first: int, n: int) -> tuple[float, float]:
    """Seconds on the wall and of the CPU for reading `n` distinct calls; texts are made before the clocks run."""
    api = load(name)
    bases, wall, cpu, done = asked(api, BASES), 0.0, 0.0, 0
    while done < n:
        part = list(distinct(bases, first + done, min(20_000, n - done)))
        start, busy = time.perf_counter(), time.process_time()
        for text in part:
            parse(api, text).canonical  # noqa: B018 - a property that works
        wall, cpu = wall + time.perf_counter() - start, cpu + time.process_time() - busy
        done += len(part)
    return wall, cpu


def mask_times(api: API, tokenizer: Any, texts: list[str]) -> list[float]:
    """Milliseconds of each mask along `texts`."""
    import llguidance

    times = []
    grammar = llguidance.LLMatcher.grammar_from_lark(mask_source(api))
    for text in texts:
        matcher = llguidance.LLMatcher(tokenizer, grammar)
        for token in tokenizer.tokenize_str(text):
            start = time.perf_counter()
            matcher.compute_bitmask()
            times.append((time.perf_counter() - start) * 1000)
            if not matcher.consume_token(token):
                raise SystemExit(f"the mask refuses {text!r}")
    return times


def agreement(name: str, n: int, seed: int) -> tuple[int, int]:
    """(taken by both, refused by both) of `n` strings; raises where lark and llguidance disagree."""
    api, rng = load(name), random.Random(seed)
    sampler, taken = LANGUAGES["Sampler"](LANGUAGES["parser"](api), seed), 0
    for i in range(n):
        text = sampler.draw()
        text = LANGUAGES["mutate"](text, rng) if i % 2 else text
        one, other = LANGUAGES["by_lark"](api, text), LANGUAGES["by_mask"](api, text)
        if one != other:
            raise SystemExit(f"{name}: lark says {one}, llguidance {other}: {text!r}")
        taken += one
    return taken, n - taken


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--calls", type=int, default=1_000_000)
    arguments.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments.add_argument("--strings", type=int, default=0)
    arguments.add_argument("apis", nargs="*", default=shipped())
    options = arguments.parse_args()
    import llguidance.hf
    from transformers import PreTrainedTokenizerFast

    from querywright.finetune.base import ensure_base

    folder = ensure_base()
    tokenizer = llguidance.hf.from_tokenizer(PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json")))
    print(
        "api          fields  build ms  mask ms  ms/token p50  p95    calls     s  CPU us/call  agree: taken  refused"
    )
    for name in options.apis or shipped():
        api = load(name)
        start = time.perf_counter()
        build.__wrapped__(api)
        built = (time.perf_counter() - start) * 1000
        source = mask_source(api)
        start = time.perf_counter()
        llguidance.LLMatcher(tokenizer, llguidance.LLMatcher.grammar_from_lark(source)).compute_bitmask()
        masked = (time.perf_counter() - start) * 1000
        times = mask_times(api, tokenizer, drawn(api, 200, seed=1))
        per, workers = options.calls // options.workers, options.workers
        both = "-", "-"
        with ProcessPoolExecutor(workers) as pool:
            jobs = [pool.submit(read_many, name, i * per, per) for i in range(workers)]
            spent = [job.result() for job in jobs]
            if options.strings:
                each = options.strings // workers
                counts = [pool.submit(agreement, name, each, seed) for seed in range(workers)]
                sums = [sum(part) for part in zip(*(c.result() for c in counts), strict=True)]
                both = f"{sums[0]:,}", f"{sums[1]:,}"
        p95 = statistics.quantiles(times, n=20)[-1]
        cells = f"{name:12} {len(api.fields) or len(api.params):6}  {built:8.0f}  {masked:7.0f}"
        cells += f"  {statistics.median(times):12.3f}  {p95:5.3f}  {per * workers:,}  {max(w for w, _ in spent):4.0f}"
        print(f"{cells}  {sum(c for _, c in spent) / per / workers * 1e6:11.0f}  {both[0]:>12}  {both[1]:>7}")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
