"""Which engine writes the descriptions, from what the command line says."""

from __future__ import annotations

from querywright.engines.base import Engine
from querywright.errors import QuerywrightError, did_you_mean

ENGINES = ("words", "llama", "hf", "outlines", "server")


def open_annotator(engine: str, model: str, url: str, threads: int | None = None) -> Engine | None:
    """The engine, or None where names have to do.

    Raises:
        QuerywrightError: the three do not fit together, or the model can't be opened.
    """
    if engine and engine not in ENGINES:
        raise QuerywrightError(
            f"no engine {engine!r}{did_you_mean(engine, list(ENGINES))}", hint=f"--engine takes {', '.join(ENGINES)}"
        )
    remote = model.startswith(("http://", "https://"))
    if remote and not url:
        url, _, model = model.partition("#")
    if engine == "words" or not (engine or model or url):
        if model or url:
            raise QuerywrightError("--engine words takes no --model and no --url", hint="leave one of them out")
        return None
    if url and engine in ("", "server"):
        source = f"{url}#{model}" if model else url
    elif engine == "server":
        raise QuerywrightError("--engine server needs --url", hint="--url http://127.0.0.1:8080/v1")
    elif url:
        raise QuerywrightError(f"--engine {engine} takes no --url", hint="--model PATH")
    elif not model:
        raise QuerywrightError(f"--engine {engine} needs --model", hint="--model PATH of a GGUF file or a checkpoint")
    else:
        source = f"outlines:{model}" if engine == "outlines" else model
    from querywright.engines.open import open_engine

    return open_engine(source, threads=threads)
