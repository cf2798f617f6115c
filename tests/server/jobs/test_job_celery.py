"""How jobs travel over Celery, without a broker: what is set, what is refused. tests/services has the rest."""

from __future__ import annotations

import os
import ssl
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("celery", reason="needs the extra celery")
pytest.importorskip("redis", reason="needs the extra celery")

from querywright.errors import QuerywrightError
from server import services_debian
from server.jobs import celery_app, queue
from server.jobs.celery_worker import _Process, serve, worker_app
from server.jobs.child import LONGEST_S
from server.jobs.table import Table

BROKER, RESULTS = "amqp://somebody:s3cret@127.0.0.1:1//", "redis://:s3cret@127.0.0.1:1/0"


@pytest.fixture
def app() -> Any:
    return worker_app(BROKER, RESULTS, lambda: pytest.fail("opened in the parent"))


def test_what_workers_promise(app: Any) -> None:
    conf = app.conf
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
    assert conf.accept_content == conf.result_accept_content == ["json"]
    assert {conf.task_serializer, conf.result_serializer, conf.event_serializer} == {"json"}
    assert conf.broker_transport_options["confirm_publish"]
    (found,) = conf.task_queues
    assert found.durable
    assert not found.auto_delete
    assert conf.task_default_delivery_mode == "persistent"
    task = app.tasks[celery_app.TASK]
    assert task.acks_late
    assert task.ignore_result  # else Celery itself waits for Redis
    assert task.time_limit is None
    assert conf.task_time_limit > LONGEST_S


def test_a_message_may_wait_longer_than_the_longest_job() -> None:
    longest = LONGEST_S + 600  # and what Celery adds
    assert longest < celery_app.ACK_WITHIN_S == services_debian.ACK_WITHIN_S
    (found,) = celery_app.build(BROKER).conf.task_queues
    assert found.queue_arguments == {"x-consumer-timeout": celery_app.ACK_WITHIN_S * 1000}
    said = celery_app.waits_long_enough({"version": "3.10.8"})
    assert f"consumer_timeout = {celery_app.ACK_WITHIN_S * 1000:.0f}" in said
    assert "if you have not" in said
    for other in ({"version": "3.12.0"}, {"version": "4.1.0-rc.1"}, {"version": "new"}, {}):
        assert celery_app.waits_long_enough(other) == ""


def test_other_machines_are_asked_for_their_certificate() -> None:
    app = celery_app.build("amqps://u:p@broker.example.org:5671//", "rediss://:p@redis.example.org:6380/0")
    assert app.conf.broker_use_ssl == {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": "broker.example.org"}
    assert app.backend.connparams["ssl_cert_reqs"] == ssl.CERT_REQUIRED
    given = celery_app.build(BROKER, "rediss://redis.example.org/0?ssl_cert_reqs=CERT_NONE")
    assert given.backend.connparams["ssl_cert_reqs"] == ssl.CERT_NONE


def test_a_broker_that_is_away_is_an_error_soon_and_without_its_password(tmp_path: Path) -> None:
    table = Table(tmp_path / "jobs.sqlite", tmp_path)
    sender = celery_app.CeleryQueue(BROKER, table)
    job = table.submit("team", "small", {})
    try:
        for act in (sender.send, sender.revoke):
            start = time.monotonic()
            with pytest.raises(QuerywrightError, match="broker") as error:
                act(job)
            assert error.value.retryable
            assert "s3cret" not in str(error.value) + error.value.hint
            assert time.monotonic() - start < 60
        queue.look(table, sender)  # goes on
        assert table.unsent() == [job]  # and sends it another time
    finally:
        sender.close()
        table.close()


def test_a_broker_that_refuses_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    app = celery_app.build(BROKER)
    celery_app.check(app)  # nobody listens: it may come
    for said, hint in (
        ("(0, 0): (403) ACCESS_REFUSED - Login was refused", "password"),
        ("Queue.declare: (406) PRECONDITION_FAILED - inequivalent arg", "delete_queue querywright.jobs.13h"),
    ):

        def refuse(text: str = said, **_: Any) -> Any:
            raise OSError(text)

        monkeypatch.setattr(app, "connection_for_write", refuse)
        with pytest.raises(QuerywrightError, match="refuses") as error:
            celery_app.check(app)
        assert hint in error.value.hint
        assert not error.value.retryable


def test_root_is_not_lectured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery does it over what a pickled message could run; ours are JSON."""
    import celery
    from celery import platforms

    class Idle:
        exitcode = 0

        def __init__(self, app: Any, **_: Any) -> None:
            self.app = app

        def start(self) -> None:
            platforms.check_privileges(self.app.conf.accept_content)

    monkeypatch.setattr(celery.Celery, "Worker", property(lambda app: lambda **more: Idle(app, **more)))
    monkeypatch.setattr(platforms.os, "getuid", lambda: 0)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        serve(BROKER, RESULTS, lambda: (Table(tmp_path / "jobs.sqlite", tmp_path), {}))
    assert [str(one.message) for one in told] == []


def test_a_claim_is_insisted_on_while_the_table_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its message is acknowledged whatever came of it, and the job may be this process's already."""
    monkeypatch.setattr("server.jobs.work._INSIST_S", (0.0,))
    table = Table(tmp_path / "jobs.sqlite", tmp_path)
    job = table.submit("team", "small", {})
    claim, away = table.claim, iter(range(3))

    def flaky(**named: Any) -> Any:
        found = claim(**named)
        if next(away, None) is not None:  # it is claimed, and the answer is lost
            raise QuerywrightError("the table is away", retryable=True)
        return found

    monkeypatch.setattr(table, "claim", flaky)
    never, _ = os.pipe()
    process = _Process(lambda: (table, {"small": lambda job: {}}), never, 0.0, 60.0, 60.0)
    assert process.do(job) == {"job": job, "claimed": True, "attempt": 4}
    state = table.state(job)
    assert (state.state, state.tries) == ("done", 1)
    table.close()


def test_messages_of_later_attempts_have_other_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers drop what was revoked, for hours: a job that is tried again after that has to get through."""
    table = Table(tmp_path / "jobs.sqlite", tmp_path)
    sender = celery_app.CeleryQueue(BROKER, table)
    sent: list[str] = []
    monkeypatch.setattr(sender._app, "send_task", lambda name, args, task_id, **_: sent.append(task_id))
    job = table.submit("team", "small", {})
    sender.send(job)
    sender.send(job)
    claimed = table.claim(job=job)
    assert claimed
    table.cancel(job)
    assert table.cancelled(claimed)
    table.retry(job)
    sender.send(job)
    assert sent == [f"{job}-1", f"{job}-1", f"{job}-2"]
    sender.close()
    table.close()
