"""llama.cpp's part of an export, in a process of its own: quantise a GGUF, and see what a GGUF answers.

Native code that does not fit this CPU dies with a signal; in a process of its own it takes nothing with it.
`python -m querywright.finetune.beside` reads one job as JSON and writes JSON lines.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from querywright.engines.inside import serve_as_child
from querywright.errors import QuerywrightError, need

FTYPES = {"q8_0": "LLAMA_FTYPE_MOSTLY_Q8_0", "q4_k_m": "LLAMA_FTYPE_MOSTLY_Q4_K_M"}
TOPS = 8  # likeliest tokens that are told of each place


def quantise(source: Path, target: Path, kind: str) -> None:
    """Make a GGUF of 16 bit smaller with llama.cpp: ``q8_0`` or ``q4_k_m``; 15 s for 135M, some minutes for 8B.

    Raises:
        QuerywrightError: llama.cpp failed; nothing is left of the file.
    """
    need("llama_cpp", extra="llama")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    job = {"task": "quantise", "source": str(source), "target": str(part), "ftype": FTYPES[kind], "threads": threads}
    try:
        list(_run(job, f"quantising {source.name} to {kind}"))
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def forced(
    model: Path, requests: list[dict[str, Any]], most: int, threads: int | None = None
) -> Iterator[dict[str, Any]]:
    """What a GGUF would write at each place of given answers, one reply for each request, in order.

    Args:
        requests: ``messages`` (the chat), ``answer`` (token ids, its end included).
        most: tokens of an answer, where it has to be written.

    Yields:
        ``prompt``: token ids of the prompt as the engine cuts it; ``tops``: for each token of the answer the likeliest
        ones with their logits; ``text``: what the engine writes itself, where the likeliest is not the answer's.

    Raises:
        QuerywrightError: the model could not be opened, or the process died.
    """
    job = {"task": "forced", "model": str(model), "requests": requests, "most": most, "threads": threads}
    yield from _run(job, f"asking {model.name}")


def _run(job: dict[str, Any], what: str) -> Iterator[dict[str, Any]]:
    """Replies of the child, as they come."""
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", "querywright.finetune.beside"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            try:
                child.stdin.write(json.dumps(job).encode())
                child.stdin.close()
            except BrokenPipeError:
                pass  # its exit code says why
            for line in child.stdout:
                reply: dict[str, Any] = json.loads(line)
                if "error" in reply:
                    raise QuerywrightError(reply["error"], hint=reply["hint"])
                yield reply
            code = child.wait()
            if code:
                errors.seek(0)
                last = errors.read().decode(errors="replace").strip().splitlines()[-3:]
                raise QuerywrightError(
                    f"{what}: llama.cpp died (exit code {code}) {' | '.join(last)}",
                    hint="a build of llama.cpp that does not fit this CPU? see LLAMA_FLAGS in the Makefile",
                )
        finally:
            child.stdout.close()
            if child.poll() is None:
                child.kill()
            child.wait()


# --- the child -----------------------------------------------------------------------------------------------------
def _quantise(job: dict[str, Any]) -> None:
    import llama_cpp

    params = llama_cpp.llama_model_quantize_default_params()
    params.nthread = job["threads"]
    params.ftype = getattr(llama_cpp, job["ftype"])
    code = llama_cpp.llama_model_quantize(job["source"].encode(), job["target"].encode(), params)
    if code:
        raise QuerywrightError(f"llama.cpp could not quantise {job['source']} (code {code})", hint="free some space")


def _forced(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    import numpy as np

    from querywright.engines.llama import LlamaEngine

    longest = max(sum(len(m["content"]) for m in r["messages"]) for r in job["requests"])
    engine = LlamaEngine(job["model"], threads=job["threads"], context=max(1024, min(8192, longest + 256)))
    for request in job["requests"]:
        answer = request["answer"]
        prompt, rows = engine.steps(request["messages"], answer)
        tops = []
        for row in rows:
            best = np.argpartition(row, -TOPS)[-TOPS:]
            tops.append([(int(t), float(row[t])) for t in best[np.argsort(-row[best])]])
        text = None
        if any(top[0][0] != token for top, token in zip(tops, answer, strict=True)):
            text = engine.generate(request["messages"], max_tokens=job["most"])[0].text
        yield {"prompt": prompt, "tops": tops, "text": text}
    engine.close()


def _serve(jobs: IO[bytes], replies: IO[bytes]) -> None:
    job = json.loads(jobs.read())
    try:
        if job["task"] == "quantise":
            _quantise(job)
            return
        for reply in _forced(job):
            replies.write(json.dumps(reply).encode() + b"\n")
            replies.flush()
    except QuerywrightError as error:
        replies.write(json.dumps({"error": str(error), "hint": error.hint}).encode() + b"\n")
        replies.flush()


if __name__ == "__main__":
    serve_as_child(_serve)
