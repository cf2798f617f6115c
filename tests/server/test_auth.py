"""Logins: who gets in, what a wrong password costs, and that nothing is served to a network without one by accident."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from querywright.cli.users import app as command
from querywright.errors import QuerywrightError
from server.access import auth as auths
from server.access import users
from server.access.auth import Auth, No, Who, auth_of, requirements
from server.access.throttle import Throttle

TOKEN = "t0ken-" * 6
HERE = "192.0.2.7"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "N", 2**14)
    monkeypatch.setattr(users, "P", 1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    users.add(path, "alice", "correct horse")
    return path


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def ask(auth: Auth, header: str, address: str = HERE) -> Who | No:
    return asyncio.run(auth.who(header, address))


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the threads in which passwords were compared."""
    real, seen = users.matches, []

    def spy(password: str, stored: users.Hash) -> bool:
        seen.append(threading.current_thread().name)
        return real(password, stored)

    monkeypatch.setattr(users, "matches", spy)
    return seen


def test_a_password_is_kept_as_a_salted_hash_only(file: Path) -> None:
    users.add(file, "bob", "correct horse")
    text = file.read_text()
    assert "horse" not in text
    first, second = users.read(file).values()
    assert first.salt != second.salt
    assert first.digest != second.digest
    assert users.matches("correct horse", first)
    assert not users.matches("correct horsf", first)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_shipped_parameters_are_owasps() -> None:
    assert users.DECOY.n * users.DECOY.r * 128 == 32 * 2**20
    assert users.DECOY.p == 3


def test_spellings_of_one_password_are_one(file: Path) -> None:
    users.add(file, "zoe", "caf\u00e9 au lait")
    assert isinstance(ask(Auth(file=file), basic("zoe", "cafe\u0301 au lait")), Who)


@pytest.mark.parametrize("name", ["", "token", "a:b", "1alice", "a\nb", "a b", "é", "x" * 33, "../x", "::1"])
def test_names_that_are_none(file: Path, name: str) -> None:
    with pytest.raises(QuerywrightError, match="user's name"):
        users.add(file, name, "correct horse")


@pytest.mark.parametrize("password", ["", "short", "x" * 257])
def test_passwords_that_are_none(file: Path, password: str) -> None:
    with pytest.raises(QuerywrightError, match="the password has"):
        users.add(file, "bob", password)
    assert list(users.read(file)) == ["alice"]


@pytest.mark.parametrize(
    "line",
    ["bob", "bob:secret", "bob:scrypt$1$8$1$AAAA$AAAA", "bob:md5$32768$8$3$AAAA$AAAA", "alice:{same}", "token:{same}",
     "b b:{same}", "bob:scrypt$1073741824$8$1${rest}", "bob:scrypt$32768$8$1000${rest}", "bob:scrypt$x$8$1${rest}"],
)  # fmt: skip
def test_wrong_lines_are_all_named(file: Path, line: str) -> None:
    same = file.read_text().strip().partition(":")[2]
    rest = "$".join(same.split("$")[4:])
    file.write_text(f"{file.read_text()}# a comment\n\n{line.format(same=same, rest=rest)}\nbad\n")
    with pytest.raises(QuerywrightError, match="line 4, 5"):
        users.read(file)


def test_a_right_password_and_the_token_get_in(file: Path) -> None:
    auth = Auth(TOKEN, file)
    assert ask(auth, basic("alice", "correct horse")) == Who("alice")
    assert ask(auth, f"Bearer {TOKEN}") == ask(auth, f"bearer  {TOKEN} ") == Who(token=True)
    assert ask(auth, basic("token", TOKEN)) == Who(token=True)  # a browser gives it as a password


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic !!!", "Basic " + "A" * 10_000, "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}",
     f"Digest {TOKEN}", TOKEN, "Bearer \udcff", basic("", ""), basic("alice", ""), basic("alice", "x" * 5000),
     basic("alice", "wrong password"), basic("bob", "correct horse"), basic("alice", TOKEN), basic("token", "no")],
)  # fmt: skip
def test_nothing_else_does(file: Path, header: str) -> None:
    assert isinstance(ask(Auth(TOKEN, file), header), No)


def test_no_token_is_not_an_empty_one(file: Path) -> None:
    assert isinstance(ask(Auth("", file), "Bearer "), No)
    assert isinstance(ask(Auth("", file), basic("token", "")), No)
    assert isinstance(ask(Auth(TOKEN), basic("alice", "correct horse")), No)


def test_a_right_password_is_compared_once_in_a_thread_of_its_own(file: Path, compared: list[str]) -> None:
    auth = Auth(file=file)

    async def page() -> list[Who | No]:
        return await asyncio.gather(*(auth.who(basic("alice", "correct horse"), HERE) for _ in range(20)))

    assert asyncio.run(page()) == [Who("alice")] * 20
    assert ask(auth, basic("alice", "correct horse")) == Who("alice")
    assert len(compared) == 1
    assert compared[0].startswith("password")
    assert all(b"horse" not in key for key in auth._known)


def test_the_loop_goes_on_while_a_password_is_compared(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow(password: str, stored: users.Hash) -> bool:
        inside.set()
        return go_on.wait(20)

    monkeypatch.setattr(users, "matches", slow)
    auth = Auth(file=file)

    async def both() -> Who | No:
        waiting = asyncio.create_task(auth.who(basic("alice", "correct horse"), HERE))
        while not inside.is_set():
            await asyncio.sleep(0.001)
        assert isinstance(await auth.who("Bearer wrong", HERE), No)  # answered meanwhile
        go_on.set()
        return await waiting

    assert asyncio.run(both()) == Who("alice")


def test_who_goes_away_does_not_take_the_others_along(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow(password: str, stored: str) -> bool:
        inside.set()
        return go_on.wait(60)

    monkeypatch.setattr(users, "matches", slow)
    auth = Auth(file=file)

    async def two() -> Who | No:
        first, second = (asyncio.create_task(auth.who(basic("alice", "correct horse"), HERE)) for _ in range(2))
        while not inside.is_set():
            await asyncio.sleep(0.001)
        first.cancel()
        await asyncio.sleep(0.01)
        go_on.set()
        return await second

    assert asyncio.run(two()) == Who("alice")


def test_an_unknown_name_costs_what_a_wrong_password_does(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cost: list[tuple[int, int, int]] = []

    def spy(password: str, stored: users.Hash) -> bool:
        cost.append((stored.n, stored.r, stored.p))
        return password == "guessed"  # even a decoy that matched lets nobody in

    monkeypatch.setattr(users, "matches", spy)
    auth = Auth(file=file)
    assert isinstance(ask(auth, basic("alice", "wrong")), No)
    assert isinstance(ask(auth, basic("nobody", "guessed")), No)
    assert cost == [(2**14, 8, 1)] * 2


def test_wrong_passwords_make_an_address_wait(file: Path, compared: list[str]) -> None:
    auth = Auth(TOKEN, file)
    assert ask(auth, basic("alice", "correct horse")) == Who("alice")
    found = [ask(auth, basic("alice", f"guess {i}")) for i in range(12)]
    assert [isinstance(no, No) and no.retry_after > 0 for no in found] == [False] * 10 + [True] * 2
    assert len(compared) == 11  # the last two were not looked at
    assert isinstance(ask(auth, basic("bob", "something else")), No)
    assert len(compared) == 11
    assert ask(auth, basic("alice", "correct horse")) == Who("alice")  # logged in already
    assert ask(auth, f"Bearer {TOKEN}") == Who(token=True)  # no guess comes near it
    other = ask(auth, basic("alice", "guess 1"), "198.51.100.1")
    assert isinstance(other, No)
    assert not other.retry_after


def test_one_wrong_password_given_often_is_one_failure(file: Path, compared: list[str]) -> None:
    auth = Auth(file=file)
    for _ in range(30):
        no = ask(auth, basic("alice", "last year's"))
        assert isinstance(no, No)
        assert not no.retry_after
    assert len(compared) == 1


def test_a_wrong_password_is_a_failure_again_when_it_is_forgotten(
    file: Path, monkeypatch: pytest.MonkeyPatch, compared: list[str]
) -> None:
    auth, now = Auth(file=file), auths.time.monotonic()
    monkeypatch.setattr(auths.time, "monotonic", lambda: now)
    ask(auth, basic("alice", "last year's"))
    now += auths.REMEMBER_S + 1
    for _ in range(30):
        ask(auth, basic("alice", "last year's"))
    assert len(compared) == 2  # each costs 0.3 s of a core
    assert auth.throttle._failed[HERE] == (1, now)


def test_too_many_at_once_are_asked_to_come_back(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(users, "matches", lambda password, stored: not go_on.wait(20))
    auth = Auth(file=file)

    async def flood() -> list[Who | No]:
        tasks = [asyncio.create_task(auth.who(basic("alice", f"guess {i}"), f"198.51.100.{i}")) for i in range(40)]
        await asyncio.sleep(0.05)
        go_on.set()
        return await asyncio.gather(*tasks)

    found = asyncio.run(flood())
    assert sum(isinstance(no, No) and no.retry_after > 0 for no in found) == 40 - auths.CHECKING


def test_what_is_remembered_is_bounded_and_ends(file: Path, monkeypatch: pytest.MonkeyPatch, compared: Any) -> None:
    monkeypatch.setattr(auths, "REMEMBERED", 5)
    auth = Auth(TOKEN, file)
    for i in range(50):
        ask(auth, f"Bearer wrong{i}", f"2001:db8:{i:x}::1")
    assert len(auth._known) == 5
    assert ask(auth, basic("alice", "correct horse")) == Who("alice")
    now = auths.time.monotonic()
    monkeypatch.setattr(auths.time, "monotonic", lambda: now + auths.REMEMBER_S + 1)
    assert ask(auth, basic("alice", "correct horse")) == Who("alice")
    assert len(compared) == 2


def test_the_throttle_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    throttle = Throttle(most=2, window_s=60, keep=3)
    throttle.failed("2001:db8::1")
    throttle.failed("2001:db8::ffff")  # of the same household
    assert 30 < throttle.wait("2001:db8::2") <= 60
    assert throttle.wait("2001:db8:0:1::1") == 0
    throttle.failed("::ffff:192.0.2.1")
    throttle.failed("192.0.2.1")
    assert throttle.wait("192.0.2.1") > 0
    now = auths.time.monotonic()
    monkeypatch.setattr("server.access.throttle.time.monotonic", lambda: now + 61)
    assert throttle.wait("192.0.2.1") == 0
    throttle.failed("192.0.2.1")
    assert throttle.wait("192.0.2.1") == 0
    for i in range(9):
        throttle.failed(f"198.51.100.{i}")
    assert len(throttle) == 3


def test_a_changed_file_counts_at_once(file: Path) -> None:
    auth = Auth(file=file)
    assert ask(auth, basic("alice", "correct horse")) == Who("alice")
    users.add(file, "alice", "battery staple")
    assert isinstance(ask(auth, basic("alice", "correct horse")), No)
    assert ask(auth, basic("alice", "battery staple")) == Who("alice")
    users.remove(file, "alice")
    assert isinstance(ask(auth, basic("alice", "battery staple")), No)
    file.write_text("broken")
    assert isinstance(ask(auth, basic("alice", "battery staple"), "198.51.100.9"), No)
    file.unlink()
    assert isinstance(ask(auth, basic("alice", "battery staple"), "198.51.100.9"), No)
    users.add(file, "alice", "battery staple")
    assert ask(auth, basic("alice", "battery staple")) == Who("alice")


def test_the_environment_says_who_may_log_in(file: Path, tmp_path: Path) -> None:
    assert auth_of({}) is None
    token = auth_of({"QUERYWRIGHT_TOKEN": TOKEN})
    assert token is not None
    assert ask(token, f"Bearer {TOKEN}") == Who(token=True)
    both = auth_of({"QUERYWRIGHT_TOKEN": TOKEN, "QUERYWRIGHT_USERS": str(file)})
    assert both is not None
    assert ask(both, basic("alice", "correct horse")) == Who("alice")
    for short in ("secret", "x" * 23, "with spaces " * 4, "x" * 30 + "é", "x" * 30 + "\n"):
        with pytest.raises(QuerywrightError, match="QUERYWRIGHT_TOKEN") as caught:
            auth_of({"QUERYWRIGHT_TOKEN": short})
        assert short not in str(caught.value)
        assert "export" in caught.value.hint
    empty = tmp_path / "empty"
    empty.write_text("# nobody\n")
    for path in (empty, tmp_path / "none"):
        with pytest.raises(QuerywrightError) as caught:
            auth_of({"QUERYWRIGHT_USERS": str(path)})
        assert "querywright users add" in caught.value.hint


@pytest.mark.skipif(os.name != "posix", reason="rights of files")
def test_hashes_that_others_may_read_are_told(file: Path) -> None:
    told: list[str] = []
    auth_of({"QUERYWRIGHT_USERS": str(file)}, told.append)
    assert told == []
    file.chmod(0o644)
    auth_of({"QUERYWRIGHT_USERS": str(file)}, told.append)
    assert "chmod 600" in told[0]


def test_a_network_needs_a_login_or_the_word_open(file: Path) -> None:
    for host in ("0.0.0.0", "::", "10.0.0.1", "ask.example.org"):
        with pytest.raises(QuerywrightError, match="log in") as caught:
            requirements(host, None, False, {})
        assert "querywright users add" in caught.value.hint
        assert "--open" in caught.value.hint
        requirements(host, None, True, {})
        requirements(host, Auth(TOKEN), False, {})
    public = {"QUERYWRIGHT_ORIGINS": "https://ask.example.org"}
    for host in ("127.0.0.1", "::1", "localhost"):
        requirements(host, None, False, {})
        with pytest.raises(QuerywrightError, match=r"ask\.example\.org"):  # a proxy brings others here
            requirements(host, None, False, public)
        requirements(host, None, True, public)
    with pytest.raises(QuerywrightError, match="QUERYWRIGHT_ORIGINS"):  # told before a model is loaded
        requirements("127.0.0.1", Auth(TOKEN), False, {"QUERYWRIGHT_ORIGINS": "*"})


def test_the_command_adds_lists_and_removes(tmp_path: Path) -> None:
    file, run = tmp_path / "new" / "users", CliRunner()
    for name in ("zoe", "alice"):
        done = run.invoke(command, ["add", name, "--file", str(file)], input="correct horse\n", catch_exceptions=False)
        assert done.exit_code == 0
    listed = run.invoke(command, ["list"], env={"QUERYWRIGHT_USERS": str(file)}, catch_exceptions=False)
    assert listed.stdout.split() == ["alice", "zoe"]
    assert "horse" not in listed.output
    assert run.invoke(command, ["remove", "zoe", "--file", str(file)], catch_exceptions=False).exit_code == 0
    assert list(users.read(file)) == ["alice"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(QuerywrightError, match=r"no user 'alic'.*did you mean 'alice'"):
        run.invoke(command, ["remove", "alic", "--file", str(file)], catch_exceptions=False)
    refused = run.invoke(
        command, ["add", "bob", "correct horse", "--file", str(file)]
    )  # seen by all in the process list
    assert refused.exit_code == 2


def test_two_who_add_at_once_are_both_there(tmp_path: Path) -> None:
    file = tmp_path / "users"

    def add(name: str) -> None:
        while name not in (users.read(file) if file.is_file() else {}):
            with contextlib.suppress(QuerywrightError):  # another one writes
                users.add(file, name, "correct horse")

    threads = [threading.Thread(target=add, args=(f"user{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(users.read(file)) == 4
