"""The checks of the classic preparation tool, on prompt/completion rows and on our own.

Source: `openai tools fine_tunes.prepare_data` (openai-python 0.27, `validators.py`): columns, empty and repeated rows,
long examples, separator at the end of prompts, a space before and a stop sequence behind completions, upper case;
and noise, which it left to people. Each is mended where that is safe, else the row leaves or the finding is told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from querywright.pairs.formats import SEPARATOR, STOP
from querywright.pairs.length import Counter, tokens
from querywright.pairs.near import drop_same
from querywright.pairs.noise import cleaned, spoilt
from querywright.pairs.read import fault
from querywright.rows import Row, answer, reworded

EXAMPLES = 5
SEPARATORS = (SEPARATOR, "\n\n===\n\n", "\n\n---\n\n", "\n\n===>\n\n", "\n\n--->\n\n", " ->")
STOPS = (STOP, " END", "***", "+++", "&&&", "$$$", "@@@", "%%%")
_FEW = 100  # the classic tool asks for a few hundred
_UPPER = 1 / 3  # of the words
_WORDS = 4
_LONG_PREFIX = 12

ABOUT = {
    "columns": "a row without a sentence or an answer",
    "empty": "a sentence or an answer without a word",
    "noise": "signs that are no text, and spaces that say nothing, taken out",
    "spoilt": "text that is none: lost characters, blobs, mostly punctuation",
    "too_long": "more tokens than the model takes",
    "duplicate": "the same words and the same answer once more",
    "ambiguous": "the same words with another answer",
    "few": "fewer rows than a model learns from",
    "upper_case": "mostly capitals, which cost more tokens and are learnt worse",
    "separator": "prompts that do not end with one separator that stands nowhere else",
    "prompt_prefix": "all prompts begin alike: a tuned model needs no instruction",
    "space": "completions that do not begin with one space",
    "stop": "completions that do not end with one stop sequence that stands nowhere else",
    "completion_prefix": "all completions begin alike: the model learns it, but each costs its tokens",
}


@dataclass
class Finding:
    """What one check found: how many rows, how many of them were mended or left out, and examples."""

    check: str
    rows: int = 0
    fixed: int = 0
    note: str = ""
    examples: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with what the check is about."""
        return {**asdict(self), "about": ABOUT[self.check]}


def check(
    rows: Sequence[Row], *, count: Counter | None = None, limit: int = 0, fix: bool = True
) -> tuple[list[Row], list[Row], list[Finding]]:
    """Check rows, and mend them unless told otherwise.

    Args:
        rows: ours (`instruction`, `path` or `answer`), or `prompt` and `completion`.
        count: counts a text's tokens; without it bytes stand for tokens, and what is too long is told, not left out.
        limit: most tokens of a row; 0 for no limit.
        fix: False leaves all rows as they are.

    Returns:
        The rows, those that left with their `reason` (the check), and the findings, none of them without rows.
    """
    found: dict[str, Finding] = defaultdict(lambda: Finding(""))
    kept, rejected = [], []
    for r in rows:
        new, reason = _one(r, found, count, limit, fix)
        if reason and fix:
            rejected.append({**r, "reason": reason})
        else:
            kept.append(new if fix else r)
    whole = [r for r in kept if not _columns(r)]
    once, repeated = _repeated(whole)
    for r in repeated:
        _note(found, r["reason"], r, fixed=fix)
    if fix:
        kept, rejected = once, rejected + repeated
    _all_together(kept if fix else whole, found)
    if whole and all("prompt" in r for r in whole):
        kept = _completions(kept, found, fix)
    else:
        for r in whole:
            if SEPARATOR in _sentence(r) or STOP in answer_of(r):
                _note(found, "separator" if SEPARATOR in _sentence(r) else "stop", r)
    return kept, rejected, [found[c] for c in ABOUT if c in found]


def answer_of(r: Row) -> str:
    """The answer of either kind of row."""
    return str(r["completion"]) if "prompt" in r else answer(r)


def _sentence(r: Row) -> str:
    return str(r["prompt"] if "prompt" in r else r["instruction"])


def _one(r: Row, found: dict[str, Finding], count: Counter | None, limit: int, fix: bool) -> tuple[Row, str]:
    """A row mended, and the reason why it can't stay, if there is one."""
    missing = _columns(r)
    if missing:
        _note(found, "columns", r, missing, fixed=fix)
        return r, "columns"
    new, kinds = _cleaned(r)
    if kinds:
        _note(found, "noise", r, ", ".join(sorted(set(kinds))), fixed=fix)
    bad = next(filter(None, map(spoilt, (_sentence(new), *_turns(new)))), "")
    told = [(c, n) for c, n in (("empty", _empty(new)), ("spoilt", bad)) if n]
    for reason, note in told[:1]:
        _note(found, reason, r, note, fixed=fix)
        return new, reason
    n = tokens(new, count, limit) if limit else 0
    if n > limit:
        _note(
            found, "too_long", r, f"{n} tokens of {limit}" if count else f"up to {n} tokens", fixed=fix and bool(count)
        )
        return new, "too_long" if count else ""
    return new, ""


def _columns(r: Row) -> str:
    if "prompt" not in r and "completion" not in r:
        return fault(r)
    missing = [k for k in ("prompt", "completion") if not isinstance(r.get(k), str)]
    return f"no {', '.join(missing)}" if missing else ""


def _empty(r: Row) -> str:
    return "nothing is said" if not _sentence(r).strip() else "no answer" if not answer_of(r).strip() else ""


def _turns(r: Row) -> list[str]:
    return [t["content"] for t in r.get("turns", ())]


def _cleaned(r: Row) -> tuple[Row, list[str]]:
    if "prompt" in r:
        core = r["prompt"].strip()  # what stands around it may be the separator's
        text, kinds = cleaned(core, r["completion"])
        return ({**r, "prompt": r["prompt"].replace(core, text, 1)} if core else r), kinds
    text, kinds = cleaned(r["instruction"], answer(r))
    turns = []
    for t in r.get("turns", ()):
        content, more = cleaned(t["content"], answer(r)) if t.get("role") == "user" else (t["content"], [])
        turns.append({**t, "content": content})
        kinds = kinds + more
    return (reworded(r, text, turns or None), kinds) if kinds else (r, [])


def _repeated(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """See `near.drop_same`; prompts are compared as sentences are."""
    if not any("prompt" in r for r in rows):
        return drop_same(rows)
    as_ours = [{"instruction": r["prompt"], "path": r["completion"].strip() or "-", "row": r} for r in rows]
    once, repeated = drop_same(as_ours)
    return [r["row"] for r in once], [{**r["row"], "reason": r["reason"]} for r in repeated]


def _all_together(rows: Sequence[Row], found: dict[str, Finding]) -> None:
    if 0 < len(rows) < _FEW:
        found["few"] = Finding("few", len(rows), note=f"{len(rows)} rows; a few hundred is where it begins to help")
    for r in rows:
        if _columns(r):
            continue
        words = [w for w in _sentence(r).split() if w.isalpha()]  # codes are written in capitals by everyone
        capitals = sum(w.isupper() and len(w) > 1 for w in words)
        if len(words) >= _WORDS and capitals > _UPPER * len(words):
            _note(found, "upper_case", r)


def _completions(rows: list[Row], found: dict[str, Finding], fix: bool) -> list[Row]:
    """Separator, space and stop sequence of prompt/completion rows."""
    rows = [dict(r) for r in rows]
    prompts, texts = [r["prompt"] for r in rows], [r["completion"] for r in rows]
    for name, some in (("prompt_prefix", prompts), ("completion_prefix", texts)):
        prefix = _common(some) if len(rows) > 1 else ""
        if len(prefix) >= _LONG_PREFIX:
            found[name] = Finding(name, len(rows), note=f"{prefix!r}")
    separator, bad = _end(prompts, SEPARATORS)
    _ends(rows, "prompt", "separator", separator, bad, found, fix)
    for r in rows:
        if r["completion"][:1] != " " or r["completion"][1:2].isspace():
            _note(found, "space", r, fixed=fix)
            r["completion"] = " " + r["completion"].lstrip() if fix else r["completion"]
    stop, bad = _end(texts, STOPS)
    _ends(rows, "completion", "stop", stop, bad, found, fix)
    return rows


def _ends(rows: list[Row], key: str, name: str, end: str, bad: set[int], found: dict[str, Finding], fix: bool) -> None:
    for i in sorted(bad):
        _note(found, name, rows[i], f"{end!r} is put behind", fixed=fix)
        if fix:
            rows[i][key] = rows[i][key].rstrip() + end


def _end(texts: Sequence[str], usual: Sequence[str]) -> tuple[str, set[int]]:
    """The sequence that all texts should end with, and which of them do not.

    It is the one of `usual` that most texts end with and none holds elsewhere; where there is none, what all texts end
    with if that is no word; else the first of `usual` that stands in no text.
    """
    ends = [
        (sum(t.endswith(u) for t in texts), u) for u in usual if not any(u in t.removesuffix(u).rstrip() for t in texts)
    ]
    best = max(ends, key=lambda e: e[0], default=(0, usual[0]))
    if best[0] < len(texts):
        common = _common([t[::-1] for t in texts])[::-1]
        mark = common.strip()
        if len(texts) > 1 and mark and not any(c.isalnum() for c in mark) and all(t.count(common) == 1 for t in texts):
            return common, set()
    return best[1], {i for i, t in enumerate(texts) if not t.endswith(best[1])}


def _common(texts: Sequence[str]) -> str:
    """What all texts begin with: what the first and the last in order share."""
    low, high = min(texts), max(texts)
    n = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return low[:n]


def _note(found: dict[str, Finding], name: str, r: Row, note: str = "", *, fixed: bool = False) -> None:
    finding = found[name]
    finding.check = name
    finding.rows += 1
    finding.fixed += fixed
    if len(finding.examples) < EXAMPLES:
        text = str(r.get("prompt") or r.get("instruction") or r)[:200]
        finding.examples.append(f"{text!r}: {note}" if note else repr(text))
