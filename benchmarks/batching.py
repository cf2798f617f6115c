"""Requests at once on llama.cpp: one slot, where they wait for each other, against several, which share steps.

    python benchmarks/batching.py [--api mygene] [--model FILE.gguf] [--slots 4] [--at-once 1,2,4,8] [--rounds 2]

Same model, same prompts as the assistant's, one run; the two engines take turns, so that a busy machine slows both, and
ratios are printed: of the pairs of one turn the median. As many clients as `at once` says ask one request after another
until all sentences are answered.

per s    requests answered a second (ratio: of several slots to one; more is better)
p50, p95 milliseconds from asking to the answer, waiting included (ratio: less is better)
first    milliseconds to the first piece of text, p50
CPU      the process's seconds of CPU a request (ratio: less is better; on a busy machine the steadiest number)
Then where the time goes: reading the prompt, computing next tokens, and what is not llama.cpp's (masks, choosing,
handing over); and what a step of several requests' next tokens costs against a step of one. Needs the extra llama.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from querywright.api.definition import load
from querywright.engines.base import Grammar, Message
from querywright.engines.llama import LlamaEngine
from querywright.engines.sequences import Part
from querywright.finetune.shipped import ensure_model
from querywright.generate.answer import prepare
from querywright.generate.prompts import strategy

sys.path.insert(0, str(Path(__file__).parent))
from speed import SENTENCES

Asked = tuple[list[Message], Grammar | None]


@dataclass
class Turn:
    """What one turn of one engine took."""

    wall: float = 0.0
    cpu: float = 0.0
    each: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)

    def numbers(self) -> dict[str, float]:
        """By column."""
        tail = statistics.quantiles(self.each, n=20, method="inclusive")[-1]
        return {
            "per s": len(self.each) / self.wall, "p50": 1000 * statistics.median(self.each), "p95": 1000 * tail,
            "first": 1000 * statistics.median(self.first), "CPU": self.cpu / len(self.each),
        }  # fmt: skip


def turn(engine: LlamaEngine, asks: Sequence[Asked], at_once: int, most: int) -> Turn:
    """Let `at_once` clients ask until all is answered."""
    done = Turn()

    def ask(asked: Asked) -> None:
        begun, seen = time.perf_counter(), []

        def progress(text: str) -> bool:
            if text and not seen:
                seen.append(time.perf_counter() - begun)
            return True

        engine.generate(asked[0], grammar=asked[1], max_tokens=most, progress=progress)
        done.each.append(time.perf_counter() - begun)
        done.first.append(seen[0] if seen else done.each[-1])

    begun, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(ask, asks))
    done.wall, done.cpu = time.perf_counter() - begun, time.process_time() - cpu
    return done


def watch(engine: LlamaEngine) -> list[tuple[float, list[int]]]:
    """A list that gets for each step its seconds and how many tokens of each request it computed."""
    seen: list[tuple[float, list[int]]] = []
    real = engine._sequences.compute

    def timed(parts: Sequence[Part]) -> list[dict[int, int]]:
        begun = time.perf_counter()
        found = real(parts)
        seen.append((time.perf_counter() - begun, [len(part.tokens) for part in parts]))
        return found

    engine._sequences.compute = timed  # type: ignore[method-assign]
    return seen


def shares(one: list[Turn], steps: list[tuple[float, list[int]]]) -> str:
    """Where the time of requests one at a time goes; pieces of more than eight tokens are prompts."""
    whole = sum(done.wall for done in one)
    read = sum(seconds for seconds, sizes in steps if max(sizes) > 8)
    told = sum(seconds for seconds, sizes in steps if max(sizes) <= 8)
    return (
        f"one at a time: {read / whole:.0%} reading prompts, {told / whole:.0%} computing next tokens, "
        f"{max(0.0, 1 - (read + told) / whole):.0%} the rest"
    )


def costs(steps: list[tuple[float, list[int]]]) -> str:
    """A step of several requests' next tokens against one of a single request."""
    found = defaultdict(list)
    for seconds, sizes in steps:
        if max(sizes) == 1:
            found[len(sizes)].append(seconds)
    single = statistics.median(found[1]) if found[1] else float("nan")
    each = (f"{n}: {statistics.median(found[n]) / single:.2f}" for n in sorted(found) if len(found[n]) > 4)
    return f"a step of n next tokens to a step of one ({1000 * single:.0f} ms): " + ", ".join(each)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--api", default="mygene", choices=[*SENTENCES])
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--workspace", type=Path, default=None, help="work/API")
    parser.add_argument("--strategy", default="tuned", help="zero_shot: a long prompt, most of it the same each time")
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--at-once", default="1,2,4,8")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--sentences", type=int, default=99, help="only the first so many")
    options = parser.parse_args()
    api = load(options.api)
    model = options.model or ensure_model(api, options.workspace or Path("work", options.api))
    build = strategy(options.strategy, api)
    tuned = options.strategy == "tuned"
    asks: list[Asked] = [
        prepare(api, sentence, build, "grammar", grounded=tuned, refuse=tuned)[:2]
        for sentence in SENTENCES[options.api][: options.sentences]
    ]
    settings: dict[str, Any] = {"threads": options.threads, "context": options.context}
    engines = {slots: LlamaEngine(model, slots=slots, **settings) for slots in (1, options.slots)}
    steps = {slots: watch(engine) for slots, engine in engines.items()}
    numbers: dict[tuple[int, int], list[dict[str, float]]] = defaultdict(list)
    single: list[Turn] = []
    levels = [int(level) for level in options.at_once.split(",")]
    alone: list[tuple[float, list[int]]] = []
    for engine in engines.values():
        turn(engine, asks[:1], 1, options.max_tokens)
    for number in range(options.rounds):
        for level in levels:
            for slots in sorted(engines, reverse=bool(number % 2)):
                begun = len(steps[slots])
                done = turn(engines[slots], asks, level, options.max_tokens)
                numbers[level, slots].append(done.numbers())
                if (level, slots) == (1, 1):
                    single.append(done)
                    alone += steps[slots][begun:]
    lengths = [len(engines[1]._prompt(messages)) for messages, _ in asks]
    print(f"{model.name}, {api.name}, {options.strategy}, {options.threads} thread(s), {len(asks)} sentences, "
          f"{options.rounds} rounds; prompts of {min(lengths)} to {max(lengths)} tokens")  # fmt: skip
    columns = [*numbers[levels[0], 1][0]]
    print(f"{'at once':>7} {'slots':>5} " + " ".join(f"{name:>8} {'ratio':>6}" for name in columns))
    for (level, slots), turns in sorted(numbers.items()):
        cells = []
        for name in columns:
            ratio = statistics.median(a[name] / b[name] for a, b in zip(turns, numbers[level, 1], strict=True))
            cells.append(f"{statistics.median(one[name] for one in turns):8.{2 if name in ('per s', 'CPU') else 0}f}")
            cells[-1] += f" {ratio:6.2f}"
        print(f"{level:7} {slots:5} " + " ".join(cells))
    if single:
        print(shares(single, alone))
    print(costs(steps[options.slots]))
    for engine in engines.values():
        engine.close()


if __name__ == "__main__":
    main()
