"""How somebody writes: the shares of frames and slips in what a speaker says. A persona has one (`personas`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from querywright.errors import QuerywrightError, did_you_mean


@dataclass(frozen=True)
class Style:
    """Shares between 0 and 1; as they stand, those of people in general."""

    terse: float = 0.13  # keywords without a verb: cdk2 mouse uniprot
    steps: float = 0.1  # several sentences, one for each thing
    wish: float = 0.14  # I need ..., we are interested in ...
    formal: float = 0.03  # would it be possible to ..., kindly ...
    which: float = 0.12  # which genes have ...
    context: float = 0.04  # says first what it is for
    polite: float = 0.06  # please, hi, thanks
    lower: float = 0.14  # no capitals
    typos: float = 0.07
    bare: float = 0.05  # without articles
    names: float = 0.13  # fields by their own names
    digits: float = 0.7  # numbers as digits, not as words and units


PEOPLE = Style()
KEYS = tuple(f.name for f in fields(Style))


def style_of(shares: Mapping[str, object], where: str) -> Style:
    """A style from a table of shares; what is not given is as people in general do.

    Raises:
        QuerywrightError: a key is unknown, or a share is no number from 0 to 1; all problems at once.
    """
    problems = [f"{key!r}{did_you_mean(key, [*KEYS])}" for key in shares if key not in KEYS]
    bad = [k for k, v in shares.items() if not isinstance(v, int | float) or isinstance(v, bool) or not 0 <= v <= 1]
    problems += [f"{k}={shares[k]!r} is no share from 0 to 1" for k in bad if k in KEYS]
    if problems:
        raise QuerywrightError(f"{where}: style: {'; '.join(problems)}", hint=f"its keys are {', '.join(KEYS)}")
    return replace(PEOPLE, **{k: float(v) for k, v in shares.items()})  # type: ignore[arg-type]
