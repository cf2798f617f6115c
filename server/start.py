"""From options to a running service: engines, records, warm-up, each said aloud."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.api.definition import API, load
from querywright.api.executors import EmbeddedExecutor, Executor
from querywright.engines.base import capacity_of
from querywright.errors import QuerywrightError, did_you_mean, need
from querywright.progress import say
from server import app
from server.access.auth import auth_of, requirements
from server.access.origins import is_loopback
from server.assistant import Choice, Served, example
from server.gate import Gate
from server.keep.pruning import pruned
from server.keep.store import FILE, VARIABLE, Store
from server.service import DECODINGS, STRATEGIES, Model, Service, Writes, known
from server.settings import Limits, limits_of, unread


@dataclass(frozen=True)
class Options:
    """What `querywright serve` was asked for.

    Attributes:
        apis: names or definition files; the first is the default.
        models: files, folders or addresses, also as NAME=PATH; the first answers for all APIs. Without any, each API
            has its own: what was trained in its workspace, else what is shipped.
        records: a file or word, for one API as API=FILE; None is the definition's.
        workspace: of the only API, else the folder of all APIs' workspaces.
        store: file or database URL of questions and corrections; None is in the workspace.
        refuse: None is what the strategy asks for.
        n: answers that are chosen from; less sure ones than `min_confidence` are marked.
        slots: requests that a llama.cpp model works on at once.
        open: whether to serve a network without a login.
        keep_days: answers that are older are deleted; None keeps them.
    """

    apis: tuple[str, ...] = ("mygene",)
    host: str = "127.0.0.1"
    port: int = 7860
    models: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    workspace: Path | None = None
    store: str | None = None
    strategy: str = "tuned"
    decoding: str = "grammar"
    refuse: bool | None = None
    n: int = 1
    min_confidence: float = 0.0
    slots: int = 1
    open: bool = False
    keep_days: float | None = None


def serve(options: Options) -> None:
    """Serve until Ctrl-C.

    Raises:
        QuerywrightError: the port is in use, a model or records can't be opened, an extra is missing, a setting of the
            environment is wrong, or a network would be served without a login.
        KeyboardInterrupt: Ctrl-C; requests that ran have ended.
    """
    limits, auth = limits_of(), auth_of()
    for told in unread():
        say(told)
    requirements(options.host, auth, options.open)
    app.environment()
    with ExitStack() as opened:
        sock = opened.enter_context(app.bind(options.host, options.port))  # first: it fails at once, loading takes long
        for module in ("fastapi", "uvicorn", "gradio", "sqlalchemy"):
            need(module, extra="serve")
        store = opened.enter_context(closing(open_store(options, limits)))
        opened.enter_context(pruned(store, options.keep_days))
        service = open_service(opened, options, limits)
        application = app.build(service, store, host=options.host, auth=auth)
        warm_up(service)
        if options.open and not is_loopback(options.host):
            say(f"anyone who reaches {options.host} on the network can ask: there is no login")
        say(f"questions and corrections are kept in {store.where}")
        print(f"Querywright is at {app.url(sock, options.host)}", flush=True)
        say("Ctrl-C stops it")
        app.run(application, sock, limits)


def workspace_of(api: API, options: Options) -> Path:
    """An API's folder."""
    if options.workspace is None:
        return Path("work") / api.name
    return options.workspace if len(options.apis) == 1 else options.workspace / api.name


def open_store(options: Options, limits: Limits | None = None) -> Store:
    """Where questions, answers and corrections are kept; without limits, any number of them."""
    apis = [load(name) for name in options.apis]
    where = options.store or os.environ.get(VARIABLE) or store_file(apis, options.workspace)
    return Store(where, per_hour=limits.kept_per_hour if limits else None)


def store_file(apis: Sequence[API], workspace: Path | None) -> Path:
    """The file of feedback: of one API in its workspace, of several in the folder of their workspaces."""
    return (workspace or Path("work") / (apis[0].name if len(apis) == 1 else "")) / FILE


def open_service(opened: ExitStack, options: Options, limits: Limits) -> Service:
    """The service of these options; what it opens is closed with `opened`.

    Raises:
        QuerywrightError: an API, a model or records that can't be opened.
    """
    apis = [load(name) for name in options.apis]
    _check(options, apis)
    paths = _models(options, apis)
    served, models, engines = {}, {}, {}
    for api in apis:
        executor, records = open_records(api, _records_for(api, options), workspace_of(api, options))
        served[api.name] = Served(api, paths[api.name][0], executor, records)
    files = dict([*paths.values(), *_given(options)])
    for name, path in files.items():
        engine = engines[name] = opened.enter_context(closing(_open_engine(path, options.slots)))
        models[name] = Model(name, model_id(path, engine), _gate(limits, capacity_of(engine)), engine)

    def writer(choice: Choice) -> Writes:
        from querywright.generate.batch import open_session
        from querywright.pairs.reader import judged

        api = served[choice.api].api
        # what the server was started with holds for its own strategy only
        refuse = options.refuse if choice.strategy == options.strategy else None
        session = open_session(
            options.apis[[a.name for a in apis].index(choice.api)], workspace_of(api, options),
            model=files[choice.model], strategy=choice.strategy, decoding=choice.decoding, refuse=refuse,
            max_tokens=limits.tokens, n=options.n, reader=judged, least=options.min_confidence,
            engine=engines[choice.model],
        )  # fmt: skip
        return opened.enter_context(session)

    first = Choice(apis[0].name, served[apis[0].name].model, options.strategy, options.decoding)
    return Service(served, models, writer, default=first, limits=limits)


def _check(options: Options, apis: Sequence[API]) -> None:
    """Refuse before anything is loaded what would be found out after it, or never."""
    known("strategy", options.strategy, STRATEGIES)
    known("decoding", options.decoding, DECODINGS)
    for text in options.records:
        name, mark, _ = text.partition("=")
        names = [api.name for api in apis]
        if mark and name not in names:
            raise QuerywrightError(
                f"--records {text}: no API {name!r} is served{did_you_mean(name, names)}", hint=f"--api {name}"
            )


def _gate(limits: Limits, capacity: int) -> Gate:
    return Gate(
        limits.waiting, capacity=capacity, patience_s=limits.patience_s, wait_share=limits.wait_share,
        per_client=limits.per_client,
    )  # fmt: skip


def _open_engine(path: str, slots: int) -> Any:
    from querywright.engines.open import open_engine
    from querywright.engines.supervise import Supervised

    return Supervised(open_engine(path, isolated=True, slots=slots))


def _given(options: Options) -> list[tuple[str, str]]:
    """Names and paths of `--model`; a file is named for the folder of its workspace, or for itself."""
    named: list[tuple[str, str]] = []
    for text in options.models:
        name, mark, path = text.partition("=")
        if not mark or "/" in name or "\\" in name or ":" in name:
            path, name = text, _name(text)
        if any(name == other for other, _ in named):
            raise QuerywrightError(f"two models are named {name!r}", hint="name them: --model NAME=PATH")
        named.append((name, path))
    return named


def _models(options: Options, apis: Sequence[API]) -> dict[str, tuple[str, str]]:
    """For each API the name and the path of the model that answers where none is chosen."""
    given = _given(options)
    if given:
        return {api.name: given[0] for api in apis}
    own = {api.name: own_model(api, workspace_of(api, options)) for api in apis}
    return {name: (_name(path), path) for name, path in own.items()}


def _name(path: str) -> str:
    """`work/mygene/model/model-q8_0.gguf` is `mygene`; another file is its stem, an address its host."""
    if "://" in path:
        return path.split("://", 1)[1].split("/", 1)[0]
    file = Path(path)
    if file.parent.name == "model" and file.parent.parent.name:
        return file.parent.parent.name
    if file.parent.parent.name == "models":  # a candidate of `feedback retrain`
        return file.parent.name
    return file.stem if file.suffix == ".gguf" else file.name


def _records_for(api: API, options: Options) -> str | None:
    found = None
    for text in options.records:
        name, mark, file = text.partition("=")
        if mark and name == api.name:
            return file
        if not mark:
            found = text
            if text != "none" and len(options.apis) > 1:
                raise QuerywrightError(
                    f"--records {text}: of which API? {len(options.apis)} are served", hint=f"--records {api.name}=FILE"
                )
    return found


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


def open_records(api: API, records: str | None, workspace: Path) -> tuple[Executor | None, str]:
    """The executor over local records, and these in words; none where the definition names none or `none` is asked."""
    if records == "none" or not (records or api.records):
        say(f"{api.name}: no records to search: calls are written and checked, not run (--records FILE searches one)")
        return None, ""
    try:
        executor = EmbeddedExecutor(api, records, workspace)
    except QuerywrightError as error:
        if records is not None:
            raise
        say(f"{api.name}: calls are written and checked, not run: {error} ({error.hint})")
        return None, ""
    words = f"Searching {executor.index.size:,} local {api.noun}s ({Path(records or api.records).name})"
    return executor, words


def warm_up(service: Service) -> None:
    """Answer a sentence of each API, so that nobody waits for caches to fill, and a broken model fails before the page
    opens."""
    for name, served in service.apis.items():
        start = time.perf_counter()
        reply = service.ask(service.choice(name), example(served.api)[: service.limits.instruction_chars])
        took = time.perf_counter() - start
        say(f"{name}: warmed up in {took:.1f} s; the model took {reply.ms:.0f} ms for a request")
