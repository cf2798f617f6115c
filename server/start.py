"""From options to a running assistant: engine, records, warm-up, each said aloud."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.api.definition import API, load
from querywright.errors import QuerywrightError, need
from querywright.progress import say
from server import app
from server.assistant import Assistant, Runs, ask, examples
from server.settings import Limits
from server.store import FILE, Store


@dataclass(frozen=True)
class Options:
    """What `querywright serve` was asked for. `model` None is the API's own; `records` None is the definition's;
    `refuse` None is what the strategy asks for; `n` answers are chosen from, less sure ones than `min_confidence` are
    marked."""

    api: str = "mygene"
    host: str = "127.0.0.1"
    port: int = 7860
    model: str | None = None
    records: str | None = None
    workspace: Path | None = None
    strategy: str = "tuned"
    decoding: str = "grammar"
    refuse: bool | None = None
    n: int = 1
    min_confidence: float = 0.0


def serve(options: Options) -> None:
    """Serve until Ctrl-C.

    Raises:
        QuerywrightError: the port is in use, the model or the records can't be opened, an extra is missing.
        KeyboardInterrupt: Ctrl-C; requests that ran have ended.
    """
    from querywright.generate.batch import open_session
    from querywright.pairs.reader import judged

    api = load(options.api)
    app.environment()
    workspace = options.workspace or Path("work") / api.name
    with ExitStack() as opened:
        sock = opened.enter_context(app.bind(options.host, options.port))  # first: it fails at once, loading takes long
        for module in ("fastapi", "uvicorn", "gradio"):
            need(module, extra="serve")
        store = opened.enter_context(closing(Store(workspace / FILE)))
        model = options.model or own_model(api, workspace)
        session = opened.enter_context(
            open_session(
                options.api, workspace, model=model, strategy=options.strategy, decoding=options.decoding,
                refuse=options.refuse, n=options.n, reader=judged, least=options.min_confidence,
            )
        )  # fmt: skip
        executor, records = open_records(api, options.records, workspace)
        limits = Limits()
        assistant = Assistant(api, session.answer, model_id(model, session.engine), executor, records, limits)
        service = app.build({api.name: assistant}, store, host=options.host, limits=limits)
        warm_up(assistant)
        if not app.is_loopback(options.host):
            say(f"anyone who reaches {options.host} on the network can ask: there is no login")
        say(f"questions and corrections are kept in {store.path}")
        print(f"Querywright is at {app.url(sock, options.host)}", flush=True)
        say("Ctrl-C stops it")
        app.run(service, sock)


def own_model(api: API, workspace: Path) -> str:
    """The model that was trained here, else the shipped one."""
    from querywright.finetune.shipped import ensure_model

    return str(ensure_model(api, workspace))


def model_id(model: str, engine: Any) -> str:
    """A model's file or address in few words; of a file also its first bytes' hash, since names are reused."""
    path = Path(model)
    if not path.is_file():
        return str(engine.describe().get("model", model))
    import hashlib

    with path.open("rb") as file:
        head = file.read(1 << 20)
        file.seek(max(0, path.stat().st_size - (1 << 20)))
        digest = hashlib.sha256(head + file.read()).hexdigest()
    return f"{path.name}@{digest[:8]}"


def open_records(api: API, records: str | None, workspace: Path) -> tuple[Runs | None, str]:
    """The executor over local records, and these in words; none where the definition names none or `none` is asked."""
    if records == "none" or not (records or api.records):
        say("no records to search: calls are written and checked, not run (--records FILE searches one)")
        return None, ""
    from querywright.api.executors import EmbeddedExecutor

    try:
        executor = EmbeddedExecutor(api, records, workspace)
    except QuerywrightError as error:
        if records is not None:
            raise
        say(f"calls are written and checked, not run: {error} ({error.hint})")
        return None, ""
    words = f"Searching {executor.index.size:,} local {api.noun}s ({Path(records or api.records).name})"
    return executor, words


def warm_up(assistant: Assistant) -> None:
    """Answer one sentence, so that nobody waits for caches to fill, and a broken model fails before the page opens."""
    start = time.perf_counter()
    reply = ask(assistant, next(iter(examples(assistant.api)), f"ten {assistant.api.noun}s"))
    say(f"warmed up in {time.perf_counter() - start:.1f} s; the model took {reply.ms:.0f} ms for a request")
