"""Keys of servers: a config names the environment variable that holds one, and no address holds any."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from querywright.errors import QuerywrightError

ENV = "env:"
SECRET = "write `env:NAME`, the name of an environment variable: a key in a file is soon in a copy of it"
_NAMED = re.compile(ENV + r"[A-Za-z_]\w*")


def named(value: str) -> str:
    """An `api_key` of a config: `env:NAME`, or empty for the default one.

    Raises:
        ValueError: it is anything else, such as a key.
    """
    if value and not _NAMED.fullmatch(value):
        raise ValueError(SECRET)
    return value


def key_of(api_key: str, who: str) -> str | None:
    """The key that an `api_key` names; None where it names none.

    Args:
        who: the model, for the message.

    Raises:
        QuerywrightError: the variable is not set, or empty.
    """
    if not api_key:
        return None
    name = api_key.removeprefix(ENV)
    if not os.environ.get(name):
        raise QuerywrightError(f"{who}: no key in the environment variable {name}", hint=f"export {name}=...")
    return os.environ[name]


def bare(url: str) -> bool:
    """Whether an address is one alone: no name, password or query, in which keys are sent and then written down."""
    try:
        return not urlsplit(url).query and "@" not in urlsplit(url).netloc
    except ValueError:  # brackets without an end
        return False
