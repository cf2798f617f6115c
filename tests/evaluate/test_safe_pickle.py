"""The unpickler builds containers, strings and numbers, and calls nothing."""

from __future__ import annotations

import collections
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from querywright.errors import QuerywrightError
from querywright.evaluate import safe_pickle


class Evil:
    def __init__(self, call: Any, *args: Any) -> None:
        self.reduced = (call, args)

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_whatever_names_a_class_or_function_is_refused(tmp_path: Path, protocol: int) -> None:
    made = tmp_path / "made"
    attacks: list[Any] = [
        Evil(os.system, f"touch {made}"), Evil(eval, f"open({str(made)!r}, 'w')"), Evil(exec, "1"),
        Evil(getattr, "", "join"), Evil(__import__, "os"), collections.OrderedDict(a=1), collections.Counter("a"),
        print, Evil,
    ]  # fmt: skip
    for attack in attacks:
        path = tmp_path / "attack.pkl"
        path.write_bytes(pickle.dumps([{"a": attack}], protocol))
        with pytest.raises(QuerywrightError, match="not a pickle of plain"):
            safe_pickle.load(path)
        assert not made.exists()


@pytest.mark.parametrize("data", [b"", b"not a pickle", b"(lp0\nS'x'\np1\na", b"cos\nsystem\n(S'true'\ntR.", b"P1\n."])
def test_damaged_files_are_an_error_of_ours(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.pkl"
    path.write_bytes(data)
    with pytest.raises(QuerywrightError):
        safe_pickle.load(path)
    with pytest.raises(QuerywrightError):
        safe_pickle.load(tmp_path / "absent.pkl")


def test_plain_data_goes_through(tmp_path: Path) -> None:
    value = [{"a": "é", "b": [1, 2.5, None, True], "c": (b"x",)}]
    safe_pickle.dump(value, tmp_path / "x.pkl")
    assert safe_pickle.load(tmp_path / "x.pkl") == value
    assert pickle.loads((tmp_path / "x.pkl").read_bytes()) == value, "today's scripts read it with pickle.load"  # noqa: S301


@pytest.mark.parametrize("value", [[{"a": {1, 2}}], [Path("x")], {"a": collections.OrderedDict()}, [{Path("k"): 1}]])
def test_what_would_be_refused_is_not_written(tmp_path: Path, value: Any) -> None:
    with pytest.raises(TypeError):
        safe_pickle.dump(value, tmp_path / "x.pkl")
    assert not (tmp_path / "x.pkl").exists()
