"""Pickle for `responses_*.pkl`: plain containers, strings and numbers only, on the way out and on the way in."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

from querywright.artefacts import replacing
from querywright.errors import QuerywrightError

PLAIN = (str, bytes, int, float, bool, type(None))


class _Plain(pickle.Unpickler):
    """Refuses every name: containers, strings and numbers have opcodes of their own and need none."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it asks for an object outside of the file")


def loads(data: bytes) -> Any:
    """Unpickle plain data.

    Raises:
        pickle.UnpicklingError: the data names any class or function, builtins such as `eval` included.
    """
    return _Plain(io.BytesIO(data)).load()


def load(path: Path | str) -> Any:
    """Read a pickle of plain data.

    Raises:
        QuerywrightError: the file is missing, is no pickle, or holds anything that is not plain.
    """
    try:
        return loads(Path(path).read_bytes())
    except OSError as error:
        raise QuerywrightError(f"could not read {path}: {error.strerror}", hint="check the path") from error
    except Exception as error:  # damaged pickles raise errors of many kinds
        raise QuerywrightError(
            f"{path} is not a pickle of plain lists and strings: {error}", hint="read the .jsonl beside it"
        ) from error


def dump(value: Any, path: Path | str) -> None:
    """Write plain data, atomically. Protocol 4: Python 3.4 and later read it.

    Raises:
        TypeError: the value holds something that `load` would refuse.
    """
    _check(value, "value")
    with replacing(path, "wb") as out:
        pickler = pickle.Pickler(out, protocol=4)
        pickler.fast = True  # no memo: equal values give equal bytes, whichever of them are one object
        pickler.dump(value)


def _check(value: Any, where: str) -> None:
    if type(value) in PLAIN:
        return
    if type(value) in (list, tuple):
        for i, item in enumerate(value):
            _check(item, f"{where}[{i}]")
    elif type(value) is dict:
        for key, item in value.items():
            _check(key, f"a key of {where}")
            _check(item, f"{where}[{key!r}]")
    else:
        raise TypeError(f"{where} is a {type(value).__name__}, not plain data")
