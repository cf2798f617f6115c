"""Celery on RabbitMQ and Redis: what is lost, doubled, killed or restarted changes no result."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from querywright.errors import QuerywrightError
from server import services as machine
from server.jobs import who
from server.jobs.celery_app import TASK, build
from server.jobs.celery_worker import serve
from server.jobs.queue import look
from server.jobs.table import Table
from tests.services.conftest import FOLDER, Place, database, placed, until

pytestmark = pytest.mark.services


def test_a_job_is_done_and_redis_is_told(place: Place) -> None:
    place.worker()
    job = place.submit("small", n=7)
    state = place.ends(job)
    assert (state.state, state.result, state.tries) == ("done", {"square": 49}, 1)
    assert "number 7" in [line.text for line in place.table.logs(job)]
    app = build(place.services["QUERYWRIGHT_BROKER"], place.services["QUERYWRIGHT_RESULTS"])
    until(lambda: app.AsyncResult(f"{job}-1").state == "SUCCESS", 60)
    assert app.AsyncResult(f"{job}-1").result == {"job": job, "claimed": True, "attempt": 1}
    until(lambda: place.waiting() == 0, 60)
    app.close()


def test_poison_is_parked_after_three_tries_and_others_are_done(place: Place) -> None:
    worker = place.worker(concurrency=2)
    first = place.submit("poison", n=0)
    others = [place.submit("small", n=n) for n in range(20)]
    state = place.ends(first)
    assert (state.state, state.tries) == ("parked", 3)
    assert sorted(p.name for p in place.table.folder.glob(f"{first}/work/try*")) == ["try1", "try2", "try3"]
    for n, job in enumerate(others):
        state = place.ends(job)
        assert (state.state, state.result, state.tries) == ("done", {"square": n * n}, 1)
    assert worker.poll() is None
    until(lambda: place.waiting() == 0, 60)  # its message does not go round for ever


def test_what_comes_twice_is_done_once_and_what_is_lost_comes_again(place: Place) -> None:
    doubled = [place.submit("small", n=n) for n in range(5)]
    for job in doubled * 3:
        place.queue.send(job)
    lost = place.submit("small", send=False, n=100)  # as if the API had been killed before it sent it
    app = build(place.services["QUERYWRIGHT_BROKER"])
    for nonsense in ("../../etc", "f" * 16, "", 7, None):
        app.send_task(TASK, args=[nonsense])
    app.send_task(TASK, args=[])
    app.send_task("os.system", args=["true"])
    app.close()
    worker = place.worker()  # which looks for what was never sent
    for n, job in enumerate(doubled):
        assert place.ends(job).result == {"square": n * n}
    assert place.ends(lost).result == {"square": 10000}
    until(lambda: place.waiting() == 0, 60)
    runs = (place.folder / "runs").read_text().split("\n")[:-1]
    assert sorted(runs) == sorted(f"{job} 1" for job in [*doubled, lost])
    assert worker.poll() is None


def test_a_wrong_password_ends_a_worker_at_once(services: dict[str, str], tmp_path: Path) -> None:
    """It would else ask again five times a second."""
    if "QUERYWRIGHT_BROKER" not in services:
        pytest.skip("rabbitmq is not here")
    head, _, host = services["QUERYWRIGHT_BROKER"].rpartition("@")
    wrong = f"{head.rpartition(':')[0]}:topsecret@{host}"
    with pytest.raises(QuerywrightError, match="refuses") as error:
        serve(wrong, "redis://127.0.0.1:1/0", lambda: (Table(tmp_path / "jobs.sqlite", tmp_path), {}))
    assert "topsecret" not in f"{error.value} {error.value.hint}"


def test_a_message_as_pickle_is_refused(place: Place) -> None:
    worker = place.worker()
    app = build(place.services["QUERYWRIGHT_BROKER"])
    import pickle

    mark = place.folder / "ran"

    class Bad:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(mark),)

    with app.connection_for_write() as connection:
        producer = app.amqp.Producer(connection, auto_declare=False)
        body = pickle.dumps(((Bad(),), {}, {}))
        producer.publish(
            body, routing_key=app.conf.task_default_queue, exchange="", content_type="application/x-python-serialize",
            content_encoding="binary", headers={"task": TASK, "id": "x", "lang": "py"},
        )  # fmt: skip
    app.close()
    job = place.submit("small", n=3)
    assert place.ends(job).result == {"square": 9}
    assert not mark.exists()
    assert worker.poll() is None


def test_rabbitmq_restarts_while_a_job_runs(place: Place) -> None:
    worker = place.worker()
    job = place.submit("long", steps=60)
    queued = [place.submit("small", n=n) for n in range(3)]
    until(lambda: place.table.state(job).done > 2, 90, place.logs)
    machine.restart(FOLDER, "rabbitmq", down_s=0.5)
    later = place.submit("small", n=50)  # over the API's connection, which the restart has cut
    state = place.ends(job)
    assert (state.state, state.result) == ("done", {"steps": 60, "attempt": 1})
    for n, other in zip((*range(3), 50), (*queued, later), strict=True):
        assert place.ends(other).result == {"square": n * n}  # durable: no message was lost
    assert worker.poll() is None


def test_nothing_is_lost_while_rabbitmq_is_away(place: Place) -> None:
    """Jobs are taken without the broker, and sent when it is back."""
    from querywright.errors import QuerywrightError

    place.worker()
    job = place.submit("small", send=False, n=4)
    state = machine.read(FOLDER)
    assert state
    machine.KINDS[state["kind"]].kill_hard(state, "rabbitmq")
    try:
        start = time.monotonic()
        with pytest.raises(QuerywrightError, match="broker") as error:
            place.queue.send(job)
        assert error.value.retryable
        assert state["password"] not in str(error.value)
        assert time.monotonic() - start < 30
        look(place.table, place.queue)  # says so, and goes on
    finally:
        machine.restart(FOLDER, "rabbitmq")
    assert place.ends(job).result == {"square": 16}


def test_redis_restarts_while_a_job_runs(place: Place) -> None:
    worker = place.worker()
    job = place.submit("long", steps=20)
    until(lambda: place.table.state(job).done > 2, 90, place.logs)
    state = machine.read(FOLDER)
    assert state
    machine.KINDS[state["kind"]].kill_hard(state, "redis")
    try:
        assert place.ends(job).result == {"steps": 20, "attempt": 1}
        second = place.submit("small", n=5)
        assert place.ends(second).result == {"square": 25}  # Redis is still away
    finally:
        machine.restart(FOLDER, "redis")
    third = place.submit("small", n=6)
    assert place.ends(third).result == {"square": 36}
    app = build(place.services["QUERYWRIGHT_BROKER"], place.services["QUERYWRIGHT_RESULTS"])
    until(lambda: app.AsyncResult(f"{third}-1").state == "SUCCESS", 60, place.logs)
    app.close()
    assert worker.poll() is None


def test_a_worker_that_ends_gives_its_job_back(place: Place) -> None:
    """SIGTERM, as systemd and Compose send it: the job goes on at another worker, and no try is counted."""
    first = place.worker()
    job = place.submit("long", steps=400)
    until(lambda: place.table.state(job).done > 2, 90, place.logs)
    first.send_signal(signal.SIGTERM)
    assert first.wait(90) == 0
    state = place.table.state(job)
    assert (state.state, state.tries) == ("queued", 0)
    (place.table.folder / job / "work" / "hurry").touch()
    place.worker()
    state = place.ends(job)
    assert (state.state, state.tries, state.result) == ("done", 1, {"steps": 400, "attempt": 2})


def test_a_job_that_hears_nothing_is_given_back_too(place: Place) -> None:
    first = place.worker(grace_s=0.5)
    job = place.submit("deaf")
    until((place.table.folder / job / "work" / "deaf").exists, 90, place.logs)
    (row,) = place.table.running()
    first.send_signal(signal.SIGTERM)
    first.wait(90)
    state = place.table.state(job)
    assert (state.state, state.tries) == ("queued", 0)
    assert who.gone(row.worker)


def test_a_running_job_is_cancelled(place: Place) -> None:
    worker = place.worker(concurrency=2, grace_s=1.0)
    hears, not_ = place.submit("long", steps=2000), place.submit("deaf")
    until(lambda: all(place.table.state(j).state == "running" for j in (hears, not_)), 90, place.logs)
    for job in (hears, not_):
        place.table.cancel(job)
    assert place.ends(hears).state == "cancelled"
    until(lambda: place.table.overdue(0.3) == [not_], 60, place.logs)
    place.queue.revoke(not_)
    assert place.ends(not_).state == "cancelled"
    place.table.retry(not_)  # what was revoked may be wanted again
    until(lambda: place.table.state(not_).state == "running", 90, place.logs)
    assert worker.poll() is None


def test_thousand_jobs_while_workers_are_killed(big_place: Place) -> None:
    """On PostgreSQL, two workers of two processes; every two seconds a process, or a whole worker, is killed."""
    place = big_place
    jobs = [place.submit("small", n=n) for n in range(1000)]
    place.worker(2, wait=False)
    place.worker(2)
    killed, end = 0, time.monotonic() + 900
    while (left := 1000 - place.table.counts().get("done", 0)) and time.monotonic() < end:
        time.sleep(2)
        ready = [one for one in place.workers[-2:] if one.poll() is None and place.ready(one)]
        if ready:  # on a busy machine: one that is killed before it has begun does no work, however long this takes
            worker = ready[killed % len(ready)]
            children = place.processes(worker)
            if killed % 3 and children:
                with suppress(ProcessLookupError):  # it had done its share, and ended
                    os.kill(children[killed % len(children)], signal.SIGKILL)
            else:
                worker.kill()
                worker.wait()
            killed += 1
        for one in list(place.workers[-2:]):
            if one.poll() is not None:
                place.workers.remove(one)
                place.worker(2, wait=False)
    assert left == 0, place.logs()
    runs = (place.folder / "runs").read_text().split("\n")[:-1]
    print(f"\n{killed} killed; {len(runs)} runs of 1,000 jobs")
    assert killed >= 3
    for n, job in enumerate(jobs):
        state = place.table.state(job)
        assert (state.state, state.result) == ("done", {"square": n * n}), place.table.logs(job)
        assert [line.text for line in place.table.logs(job)].count("done") == 1
    assert len(set(runs)) == len(runs)  # no claim ran twice
    until(lambda: place.waiting() == 0, 120)


def test_two_workers_share(services: dict[str, str], tmp_path: Path) -> None:
    """With a prefetch of one a worker that is busy holds no second message: another one has the next job at once."""
    with database(services) as where, placed(services, where, tmp_path) as place:
        place.worker(wait=False)
        place.worker()
        until(lambda: all(map(place.ready, place.workers)), 120, place.logs)
        long = place.submit("long", steps=2000)
        until(lambda: place.table.state(long).state == "running", 90, place.logs)
        assert all(place.ends(place.submit("small", n=n)).state == "done" for n in range(4))
        assert place.table.state(long).state == "running"
