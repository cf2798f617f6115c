"""What grounding lets be written, and what it costs: one row an API, from one run.

    python benchmarks/grounding.py --api mygene PAIRS.jsonl [PAIRS.tsv ...] [--misses 20]

PAIRS are rows with `instruction` and `path` (what `pairs make` writes), or lines "sentence<TAB>call". A pair is written
where its call lies in the grammar that is grounded in its sentence: the share of pairs bounds what any model can reach
under that grammar. Besides: from a sentence to the grammar's text (`ground`), from the text to the first mask
(`compile`), and one mask along the call, median and 95th percentile, with SmolLM2's vocabulary; all in milliseconds of
the CPU, since the machine may be busy.
Needs the extras llama and train (for the packaged tokenizer).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from querywright.api.call import CallError, parse
from querywright.api.definition import API, load
from querywright.engines.base import Grammar, MaskError
from querywright.engines.mask import Compiler
from querywright.generate.answer import grammar_for
from querywright.generate.ground import ground


def pairs(file: Path) -> Iterator[tuple[str, str]]:
    """Sentences and calls of a file; what is to be refused is left out."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("{"):
            row = json.loads(line)
            found = row["instruction"], row["path"]
        else:
            found = tuple(line.split("\t")[:2])  # type: ignore[assignment]
        if len(found) == 2 and found[1].startswith("/"):
            yield found


def compiler() -> Compiler:
    """A compiler of grammars for the packaged tokenizer."""
    import llguidance.hf
    from transformers import PreTrainedTokenizerFast

    from querywright.finetune.base import ensure_base

    file = str(ensure_base() / "tokenizer.json")
    return Compiler(llguidance.hf.from_tokenizer(PreTrainedTokenizerFast(tokenizer_file=file)))


def walk(made: Compiler, grammar: Grammar, text: str, masks: list[float]) -> tuple[float, str | None]:
    """Milliseconds to the first mask, and where the grammar stopped the text (None: it is whole)."""
    start = time.thread_time()
    mask = made.start(grammar)
    mask.bits()
    compiled = (time.thread_time() - start) * 1000
    written = b""
    try:
        for token in made.tokenizer.tokenize_str(text):
            start = time.thread_time()
            mask.bits()
            masks.append((time.thread_time() - start) * 1000)
            mask.take(token)
            written += made.tokenizer.decode_bytes([token])
    except MaskError:
        return compiled, written.decode(errors="replace")
    return compiled, None if mask.may_end else text


def ways(api: API, path: str) -> list[str]:
    """The texts that write a call: as it stands, and with its parameters in the order and spelling of a printed one."""
    call = parse(api, path)
    return list(dict.fromkeys([path, call.text]))


def main() -> None:
    """Print the rows and, where asked, calls that could not be written."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--api", required=True)
    arguments.add_argument("--misses", type=int, default=0)
    arguments.add_argument("files", type=Path, nargs="+")
    options = arguments.parse_args()
    api, made = load(options.api), compiler()
    whole = grammar_for(api, "grammar")
    assert whole is not None
    grounds: list[float] = []
    compiles: list[float] = []
    masks: list[float] = []
    print(f"{'file':34} pairs  written  ungrounded")
    shown = []
    for file in options.files:
        count = written = in_language = 0
        for sentence, path in pairs(file):
            try:
                texts = ways(api, path)
            except CallError as error:
                print(f"  no call: {path} ({error})")
                continue
            start = time.thread_time()
            source = ground(api, sentence)
            grounds.append((time.thread_time() - start) * 1000)
            stops = []
            for text in texts:
                compiled, stop = walk(made, Grammar(source), text, masks)
                compiles.append(compiled)
                stops.append(stop)
                if stop is None:
                    break
            can = None in stops
            could = can or any(walk(made, whole, text, [])[1] is None for text in texts)
            count, written, in_language = count + 1, written + can, in_language + could
            if not can:
                reason = max(map(str, stops), key=len)
                shown.append((file.name, "" if could else "no text of the language: ", sentence, texts[0], reason))
        print(f"{file.parent.name + '/' + file.name:34} {count:5} {written / max(1, count):8.1%} "
              f"{in_language / max(1, count):11.1%}")  # fmt: skip
    for name, times in (("ground", grounds), ("compile", compiles), ("mask", masks)):
        p95 = statistics.quantiles(times, n=20)[-1]
        print(f"{name:8} ms p50 {statistics.median(times):.3f}  p95 {p95:.3f}  max {max(times):.3f}")
    for miss in shown[: options.misses]:
        print("\n", *miss, sep="\n  ")


if __name__ == "__main__":
    main()
