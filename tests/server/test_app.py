"""The socket and the start: what goes wrong before the page opens is said in a sentence."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from querywright.errors import QuerywrightError
from server import app, start
from server.access.origins import is_loopback
from server.settings import Limits
from tests.server.fakes import make_service


def test_a_port_in_use_is_named_with_another_to_try() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(QuerywrightError, match=f"port {port}") as caught:
            app.bind("127.0.0.1", port)
        assert "--port" in caught.value.hint
        with pytest.raises(QuerywrightError, match="in use"):  # before any model is looked for
            start.serve(start.Options(port=port, models=("/no/such/model",)))


def test_a_port_is_taken_from_the_start_on() -> None:
    with app.bind("127.0.0.1", 0) as loading, pytest.raises(QuerywrightError, match="in use"):
        app.bind("127.0.0.1", loading.getsockname()[1])  # not when both have loaded their models


def test_a_host_of_another_machine_is_refused() -> None:
    with pytest.raises(QuerywrightError, match="could not listen"):
        app.bind("203.0.113.7", 0)


def test_the_url_is_one_that_a_browser_opens() -> None:
    with app.bind("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        assert app.url(sock, "127.0.0.1") == f"http://127.0.0.1:{port}"
        assert app.url(sock, "0.0.0.0") == f"http://127.0.0.1:{port}"
        assert app.url(sock, "::1") == f"http://[::1]:{port}"


def test_a_failed_start_gives_the_port_back(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = start.Options(port=port, models=(str(tmp_path / "none.gguf"),), workspace=tmp_path, records=("none",))
    with pytest.raises(QuerywrightError):
        start.serve(options)
    app.bind("127.0.0.1", port).close()


def test_a_network_is_not_served_without_a_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QUERYWRIGHT_TOKEN", "QUERYWRIGHT_USERS", "QUERYWRIGHT_ORIGINS"):
        monkeypatch.delenv(name, raising=False)
    options = start.Options(host="0.0.0.0", port=0, models=("/no/such/model",), workspace=tmp_path)
    with pytest.raises(QuerywrightError, match="log in"):
        start.serve(options)
    monkeypatch.setenv("QUERYWRIGHT_ORIGINS", "https://ask.example.org")  # a proxy stands before it
    with pytest.raises(QuerywrightError, match="log in"):
        start.serve(start.Options(port=0, models=("/no/such/model",), workspace=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_only_loopback_addresses_are_loopback() -> None:
    assert [is_loopback(h) for h in ("127.0.0.1", "127.9.9.9", "::1", "localhost")] == [True] * 4
    assert [is_loopback(h) for h in ("0.0.0.0", "::", "10.0.0.1", "example.org")] == [False] * 4


def test_nothing_leaves_the_machine() -> None:
    app.environment()
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert os.environ["GRADIO_SHARE"] == "False"


def test_a_models_id_follows_its_bytes(tmp_path: Path) -> None:
    class Engine:
        def describe(self) -> dict[str, str]:
            return {"model": "remote-model"}

    model = tmp_path / "m.gguf"
    model.write_bytes(b"GGUF1")
    first = start.model_id(str(model), Engine())
    model.write_bytes(b"GGUF2")
    assert first.startswith("m.gguf@")
    assert first != start.model_id(str(model), Engine())
    assert start.model_id("http://127.0.0.1:1/v1", Engine()) == "remote-model"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"strategy": "tunde"}, "did you mean 'tuned'"),
        ({"decoding": "gbnf"}, "no decoding 'gbnf'"),
        ({"records": ("mychem=hits.jsonl",)}, "no API 'mychem' is served"),
    ],
)
def test_a_wrong_option_is_said_before_anything_is_loaded(wrong: dict[str, Any], said: str, tmp_path: Path) -> None:
    options = start.Options(models=("/no/such/model",), workspace=tmp_path, **wrong)
    with pytest.raises(QuerywrightError, match=said), ExitStack() as opened:
        start.open_service(opened, options, Limits())


def test_a_short_limit_of_sentences_keeps_nobody_from_starting() -> None:
    start.warm_up(make_service(limits=Limits(instruction_chars=20)))


def test_an_empty_name_is_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(QuerywrightError, match="empty"):
        start.open_store(start.Options(store="  "))
    assert list(tmp_path.iterdir()) == []
