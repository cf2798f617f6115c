"""Whether what was exported answers as what was trained: transformers, PEFT and llama.cpp on the same requests.

The reference is the adapter at run time on its base. Its greedy answers are laid before every other path: where a
path's likeliest token is the answer's at each place, it writes the same answer. The first place where it is not is a
*near tie* if in the reference the two tokens are less than a tolerance apart (no rounding can be held against a path
there), and else a difference. Files of full precision may not differ at all, 8 bit on a stated share of the requests.

Prompts are compared token for token: the training tokenizer, the exported chat template and llama.cpp must agree.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from querywright.artefacts import read_jsonl
from querywright.errors import QuerywrightError, need
from querywright.finetune.beside import forced
from querywright.finetune.chat_rows import read_rows
from querywright.finetune.family import Family
from querywright.finetune.forward import Forward, Top
from querywright.finetune.merge import shapes, stop_ids
from querywright.finetune.preferences import read_preferences
from querywright.progress import say, track
from querywright.rows import Message, chat, system_line

MOST = 64  # tokens of an answer
SHOWN = 5  # differences that an error shows
# How far apart (nats) two tokens of the reference may be for a path to take the other: by what the path rounds to.
# Twice the most that the distance between the two likeliest tokens was seen to move by, at 700 places on SmolLM2-135M
# (float32 0.0001, float16 0.051, bfloat16 0.115); 8 bit (1.15) gets less than that and a share (see SHARE): of
# a model of ten steps, undecided at many places, 3 of 18 answers left the adapter's where two tokens were 0.29 to 0.44
# apart, and nothing was wrong with the file.
TOLERANCE = {"float32": 0.02, "float16": 0.1, "bfloat16": 0.25, "q8_0": 0.8, "q4_k_m": 0.8}
NARROW = 0.5  # the least tolerance where the reference itself is computed in 16 bit: logits of 16 to 32 are 0.125 apart
# The share of requests that a path must answer like the reference, near ties included; 4 bit is measured, not judged.
SHARE = {"float32": 1.0, "float16": 1.0, "bfloat16": 1.0, "q8_0": 0.9, "q4_k_m": 0.0}
FIRST_AID = (
    "the adapter alone is what was trained: use adapter/ on its base, and report this; --parity 0 exports anyway"
)
ANY = (
    "show me the newest ten",
    "how many are there?",
    "find those with a name that begins with A",
    "which one is 7157?",
)


@dataclass
class Answers:
    """The reference: for each request its prompt, its answer and the likeliest tokens of each place."""

    messages: list[list[Message]]
    prompts: list[list[int]]
    answers: list[list[int]] = field(default_factory=list)
    tops: list[list[Top]] = field(default_factory=list)


def requests(rows: Path | None, api: str, n: int) -> tuple[list[list[Message]], str]:
    """`n` chats without their answers, spread evenly over a file of the run's own, and where they come from: held-out
    pairs beside the rows that were trained on, else these rows, else a few sentences about nothing in particular."""
    chats: list[list[Message]] = []
    told = "sentences for no API in particular"
    for name in ("test.jsonl", "valid.jsonl"):
        path = rows.parent / name if rows is not None else None
        if path is not None and path.is_file() and (found := read_jsonl(path)):
            chats, told = [chat(row)["messages"][:-1] for row in found], name
            break
    if not chats and rows is not None and (asked := _prompts(rows)):
        chats, told = asked, rows.name
    if not chats:
        system: Message = {"role": "system", "content": system_line(api)}
        chats = [[system, {"role": "user", "content": sentence}] for sentence in ANY]
    n = min(n, len(chats))
    return [chats[i * len(chats) // n] for i in range(n)], told


def _prompts(rows: Path) -> list[list[Message]]:
    """What the rows of a run ask: chat or preference rows; none where they are gone, or of a format of their own."""
    try:
        with rows.open(encoding="utf-8-sig") as lines:
            first = json.loads(next((line for line in lines if line.strip()), "null"))
    except (OSError, ValueError):
        return []
    if isinstance(first, dict) and "messages" in first:
        return [row[:-1] for row in read_rows(rows)]
    if isinstance(first, dict) and "chosen" in first:
        return [row.prompt for row in read_preferences(rows)]
    return []


def check(
    base: Path,
    adapter: Path,
    family: Family,
    chats: list[list[Message]],
    source: str,
    *,
    merged: Path | None = None,
    ggufs: dict[str, Path] | None = None,
    trained: Any = None,
) -> dict[str, Any]:
    """Compare all paths with the adapter at run time; the report's `ok` says whether they agree.

    Args:
        base: the base's checkpoint.
        adapter: in PEFT's layout.
        merged: the merged checkpoint, where there is one.
        ggufs: kind -> GGUF file.
        trained: the config of the tokenizer that was trained with, to hold the prompts against.

    Raises:
        QuerywrightError: a path could not be run.
    """
    there = shapes(base)
    size = sum(math.prod(shape) for _, shape in there.values())
    stops = stop_ids(base, family)
    reference = Answers(chats, prompts(base, family, chats))
    paths: dict[str, Any] = {}
    if trained is not None:
        paths["training tokenizer"] = _tokenizers(_trained_prompts(trained, chats), reference.prompts)
    say(f"parity: {len(chats)} requests from {source}")
    model = Forward(base, size, adapter)
    wide, least = model.wide, 0.0 if model.wide else NARROW
    for answer, tops in model.greedy(reference.prompts, stops, MOST, "parity: adapter"):
        reference.answers.append(answer)
        reference.tops.append(tops)
    del model
    decode = _decoder(base, stops)
    if merged is not None:
        paths["merged"] = _tokenizers(prompts(merged, family, chats), reference.prompts)
        if not paths["merged"]["different"]:
            model = Forward(merged, size)
            found: list[list[Top]] = model.forced(reference.prompts, reference.answers, "parity: merged")
            other = [i for i, tops in enumerate(found) if _first(tops, reference.answers[i]) is not None]
            texts: list[str | None] = [None] * len(found)
            again = model.greedy([reference.prompts[i] for i in other], stops, MOST, "parity: merged, what differs")
            for i, (answer, _) in zip(other, again, strict=True):
                texts[i] = decode(answer)
            types = {kind for kind, _ in there.values()}
            kind = "bfloat16" if "BF16" in types else "float16" if "F16" in types else "float32"
            paths["merged"] = judge(reference, found, texts, decode, kind, least)
            del model
    for kind, path in (ggufs or {}).items():
        asked = [{"messages": m, "answer": a} for m, a in zip(chats, reference.answers, strict=True)]
        replies = list(track(forced(path, asked, MOST), f"parity: {path.name}", total=len(asked)))
        paths[path.name] = _tokenizers([reply["prompt"] for reply in replies], reference.prompts)
        if not paths[path.name]["different"]:
            found = [[[(int(t), float(v)) for t, v in top] for top in reply["tops"]] for reply in replies]
            precision = {"f16": "float16"}.get(kind, kind)
            paths[path.name] = judge(reference, found, [r["text"] for r in replies], decode, precision, least)
    return {
        "ok": all(path["ok"] for path in paths.values()),
        "requests": len(chats),
        "from": source,
        "tokens": sum(map(len, reference.answers)),
        "reference": f"adapter at run time (transformers, PEFT, {'float32' if wide else 'as stored'})",
        "paths": paths,
    }


def prompts(folder: Path, family: Family, chats: Sequence[Sequence[Message]]) -> list[list[int]]:
    """The chats as a checkpoint's own tokenizer renders them, with the template that is exported."""
    transformers: Any = need("transformers", extra="train")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    options = {"add_generation_prompt": True, "return_dict": False, "chat_template": family.template}
    return [list(tokenizer.apply_chat_template([dict(m) for m in chat], **options)) for chat in chats]


def judge(
    reference: Answers, found: list[list[Top]], texts: list[str | None], decode: Any, precision: str, least: float = 0.0
) -> dict[str, Any]:
    """One path against the reference.

    Args:
        found: of each request, at each place of the reference's answer, the path's likeliest tokens.
        texts: what the path writes where it differs.
        precision: which tolerance and share hold for it.
        least: of the tolerance.
    """
    tolerance = max(least, TOLERANCE[precision])
    ties, differences, moved = 0, [], []
    for i, (answer, tops) in enumerate(zip(reference.answers, found, strict=True)):
        ours = reference.tops[i]
        moved += [m for a, b in zip(ours, tops, strict=True) if (m := _moved(a, b)) is not None]
        at = _first(tops, answer)
        if at is None:
            continue
        other = tops[at][0][0]
        gap = _gap(ours[at], ours[at][0][0], other)
        if gap < tolerance:
            ties += 1
            continue
        differences.append(
            {
                "request": reference.messages[i][-1]["content"],
                "adapter": decode(answer),
                "answer": texts[i],
                "place": at,
                "tokens": [decode([answer[at]]), decode([other])],
                "gap": round(gap, 4),  # in the reference, nats
                "gap_there": round(_gap(tops[at], other, answer[at]), 4),
            }
        )
    n = len(found)
    moved.sort()
    share = (n - len(differences)) / n
    return {
        "ok": share >= SHARE[precision],
        "same": n - ties - len(differences),
        "near_ties": ties,
        "different": len(differences),
        "needed": SHARE[precision],
        "tolerance": tolerance,
        # how far the distance between the two likeliest tokens moved, nats: 99 of 100 places, and the most
        "moved": {"p99": round(moved[int(0.99 * (len(moved) - 1))], 4), "max": round(moved[-1], 4)} if moved else {},
        "differences": differences,
    }


def refuse(report: dict[str, Any], out: Path) -> None:
    """Fail where the paths do not agree, and say it aloud of a path that is measured, not judged.

    Raises:
        QuerywrightError: they do not; the differences are shown.
    """
    for name, path in report["paths"].items():
        if path["ok"] and path["different"] > 0.1 * report["requests"]:
            say(f"{name}: {path['different']} answers are other ones than the adapter's: measure it (querywright eval)")
    if report["ok"]:
        return
    lines = []
    for name, path in report["paths"].items():
        if path["ok"]:
            continue
        n = report["requests"]
        lines.append(f"{name}: {path['different']} of {n} answers differ ({path['needed']:.0%} must agree)")
        for one in path["differences"][:SHOWN]:
            lines.append(f"  request  {one['request']}")
            lines.append(f"  adapter  {one['adapter']}")
            lines.append(f"  {name[:8]:8} {one['answer']}")
            if "tokens" in one:
                ours, theirs = one["tokens"]
                lines.append(
                    f"  place {one['place']}: {ours!r}, not {theirs!r}; apart by {one['gap']:.2f} nats in the adapter, "
                    f"by {one['gap_there']:.2f} the other way here (tolerance {path['tolerance']})"
                )
    say("\n".join(lines))
    raise QuerywrightError(
        f"what was exported does not answer as the adapter does: {lines[0]}; all differences: {out}", hint=FIRST_AID
    )


def summary(report: dict[str, Any]) -> str:
    """One line: how each path did."""
    n = report["requests"]
    told = [
        f"{name} {path['same']}/{n}" + (f" (+{path['near_ties']} near ties)" if path["near_ties"] else "")
        for name, path in report["paths"].items()
    ]
    return f"parity on {n} requests: {', '.join(told)}"


def load(path: Path) -> dict[str, Any]:
    """An earlier report; empty where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _tokenizers(theirs: list[list[int]], ours: list[list[int]]) -> dict[str, Any]:
    """Whether prompts are cut the same way, as a path of the report."""
    wrong = [i for i, (a, b) in enumerate(zip(theirs, ours, strict=True)) if a != b]
    differences = []
    for i in wrong:
        a, b = theirs[i], ours[i]
        at = next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
        differences.append(
            {
                "request": f"prompt {i}, token {at}",
                "adapter": f"{len(b)} tokens, there {b[max(0, at - 2) : at + 3]}",
                "answer": f"{len(a)} tokens, there {a[max(0, at - 2) : at + 3]}",
            }
        )
    return {"ok": not wrong, "same": len(ours) - len(wrong), "near_ties": 0, "different": len(wrong), "needed": 1.0,
            "tolerance": 0.0, "moved": {}, "differences": differences}  # fmt: skip


def _trained_prompts(component: Any, chats: Sequence[Sequence[Message]]) -> list[list[int]]:
    """The prompts as the training tokenizer cuts them: a row of it up to the answer."""
    need("torchtune", extra="train")
    from omegaconf import OmegaConf
    from torchtune import config
    from torchtune.data import Message as Turn

    tokenizer = config.instantiate(OmegaConf.create({**component, "max_seq_len": None}))
    found = []
    for chat_ in chats:
        turns = [Turn(role=m["role"], content=m["content"], masked=True) for m in chat_]
        # two answers that begin otherwise: what their rows share is the prompt
        one, two = (
            tokenizer.tokenize_messages([*turns, Turn(role="assistant", content=text)])[0] for text in ("/a", "nil")
        )
        shared = next(i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b)
        found.append(list(one[:shared]))
    return found


def _decoder(base: Path, stops: Sequence[int]) -> Any:
    transformers: Any = need("transformers", extra="train")
    tokenizer = transformers.AutoTokenizer.from_pretrained(base, local_files_only=True)
    ends = set(stops)

    def decode(tokens: list[int]) -> str:
        kept = [t for t in tokens if t not in ends] or tokens
        return str(tokenizer.decode(kept, clean_up_tokenization_spaces=False))

    return decode


def _first(tops: list[Top], answer: list[int]) -> int | None:
    """The first place where the likeliest token is not the answer's."""
    return next((i for i, (top, token) in enumerate(zip(tops, answer, strict=True)) if top[0][0] != token), None)


def _gap(top: Top, one: int, other: int) -> float:
    """How far two tokens are apart, nats; of one that is not among the likeliest, how far it is at least."""
    known = dict(top)
    return known.get(one, top[-1][1]) - known.get(other, top[-1][1])


def _moved(ours: Top, theirs: Top) -> float | None:
    """By how much the distance between our two likeliest tokens is another there; None where it is not known."""
    (one, a), (two, b) = ours[:2]
    known = dict(theirs)
    return abs((a - b) - (known[one] - known[two])) if one in known and two in known else None
