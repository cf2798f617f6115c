"""The report of an evaluation on question rows as one HTML file: scores, judge, retrieval, cost, answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from querywright.evaluate.best import best, sentence
from querywright.evaluate.page import inline, number, paired, share
from querywright.evaluate.page_errors import anchor, differing
from querywright.page import esc, grid, unfold, write_page

NAMES = {
    "f1": "F1", "exact": "exact", "contains": "contains", "judge": "judge", "meteor": "METEOR",
    "bertscore": "BERTScore", "retrieval_hit": "found",
}  # fmt: skip
_SHOWN = 12  # answers of each kind and cell
_BEST = 3  # cells that are told more of, where several are alike
_LONG = 400  # characters of a text in a table
_STRATEGIES = {
    "closed": "the question alone: what the model knows without the documents",
    "window": "with the passages that the question was made from: what it reads out of them",
    "rag": "with the passages that retrieval found: what a user would get",
}


def write(
    found: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], path: Path, pictures: Mapping[str, Path]
) -> None:
    """Write the page.

    Args:
        found: as `scores.json` has it.
        rows: scored answers; see `questions.evaluate_questions`.
        pictures: SVG files that are put into the page, `scores` and `latency`.
    """
    cells = found["cells"]
    top = {cell["name"] for cell in best(cells, "f1")}
    svg = {name: inline(picture) for name, picture in pictures.items()}
    sections = [
        ("Scores", _scores(found, top) + svg.get("scores", "")),
        ("Against the best", _paired(found)),
        ("Judge", _judge(found)),
        ("Retrieval", _retrieval(cells)),
        ("Time and cost", _times(found) + svg.get("latency", "")),
        ("Answers", _answers(cells, rows, top)),
        ("Left out", "".join(f"<p>{esc(reason)}</p>" for reason in found["left_out"])),
    ]
    shown = [(title, text) for title, text in sections if text]
    contents = " · ".join(f"<a href='#{anchor(title)}'>{esc(title)}</a>" for title, _ in shown)
    clusters = found["clusters"]
    body = [
        f"<h1>{esc(found['name'])}</h1>",
        f"<p class=note>{found['n']} questions in {clusters['n']} {esc(clusters['by'])}s, seed "
        f"{esc(found['config']['seed'])}. Shares in per cent of questions, with 95 % intervals.</p>",
        _summary(found),
        f"<nav>{contents}</nav>",
        *(f"<h2 id='{anchor(title)}'>{esc(title)}</h2>{text}" for title, text in shown),
    ]
    write_page(path, found["name"], body)


def trust(judge: Mapping[str, Any] | None) -> list[str]:
    """How far a judge can be trusted, in plain sentences; nothing without one."""
    if judge is None:
        return []
    lines = []
    if judge["judged_too"]:
        are = "is the same model" if len(judge["judged_too"]) == 1 else "are the same model"
        lines.append(f"The judge {judge['name']} judges itself: {', '.join(judge['judged_too'])} {are}.")
    if judge["agreement"] is not None:
        lines.append(
            f"The judge {judge['name']} gives {100 * judge['agreement']:.0f} % of {judge['asked']} answers the same "
            f"grade in both orders; with the answer first its grade is {judge['order']:+.2f} off."
        )
    if judge["unread"]:
        lines.append(f"{judge['unread']} of {judge['asked']} answers have no grade that can be read.")
    if (controls := judge["controls"]) is not None:
        lines.append(
            f"It grades the reference {100 * controls['right']:.0f} and another question's answer "
            f"{100 * controls['wrong']:.0f} (0 to 100), and tells them apart in {100 * controls['told_apart']:.0f} % "
            f"of {controls['n']} questions; 50 % is chance."
        )
        if controls["told_apart"] < 0.8:
            lines.append("Its grades say little.")
    return lines


def _summary(found: Mapping[str, Any]) -> str:
    lines = [sentence(found["cells"], "f1", lambda name: f"<b>{esc(name)}</b>")]
    for top in best(found["cells"], "f1")[:_BEST]:
        scores = top["scores"]
        text = f"{esc(top['name'])}: {share(scores['exact'])} % of {top['n']} questions exact"
        text += f", judged {share(scores['judge'])}" if "judge" in scores else ""
        text += (f"; half of the answers took under {top['ms']['p50'] / 1000:.1f} s, 95 % under "
                 f"{top['ms']['p95'] / 1000:.1f} s") if top["ms"]["p50"] is not None else ""  # fmt: skip
        lines.append(f"{text}.")
    failed = sum(cell["errors"] for cell in found["cells"])
    if failed:
        lines.append(f"{failed} questions got no answer and count as wrong: the same command asks them again.")
    if found["judge"] and found["judge"]["judged_too"]:
        lines.append(esc(trust(found["judge"])[0]))
    return f"<div class=box>{'<br>'.join(lines)}</div>"


def _scores(found: Mapping[str, Any], top: Collection[str]) -> str:
    cells = found["cells"]
    metrics = [metric for metric in NAMES if any(metric in cell["scores"] for cell in cells)]
    rows = []
    for cell in cells:
        below = (share(cell["scores"].get(metric)).replace(" <small>", "<br><small>") for metric in metrics)
        name = f"<b>{esc(cell['name'])}</b>" if cell["name"] in top else esc(cell["name"])
        rows.append([name, str(cell["n"]), *below])
    told = "".join(
        f"<li><b>{name}</b>: {what}</li>"
        for name, what in _STRATEGIES.items()
        if any(cell["strategy"] == name for cell in cells)
    )
    clusters = found["clusters"]
    note = (
        "F1, exact: as SQuAD scores them (case, punctuation and articles aside, but not the signs of numbers), against "
        "the nearest reference. contains: the reference's words stand in the answer, which may say more. judge: grades "
        "1 to 5 as 0 to 100. found: retrieval found the evidence. "
        + ("METEOR: of one word that is right 50, of two 94. " if "meteor" in metrics else "")
        + f"Intervals: BCa bootstrap that draws whole {clusters['by']}s, {clusters['n']} of them; Wilson's where all "
        "are alike, and with it where there are few."
    )
    notes = "".join(f"<p>{esc(text)}.</p>" for text in found["notes"])
    return f"<ul>{told}</ul>" + grid(["cell", "n", *(NAMES[m] for m in metrics)], rows, words=1) + notes + _note(note)


def _note(text: str) -> str:
    return f"<p class=note>{esc(text)}</p>"


def _paired(found: Mapping[str, Any]) -> str:
    if len(found["cells"]) > 1 and not best(found["cells"], "f1"):
        return ""
    better = (f"{found['clusters']['by']}s: best better", "other better")
    text = paired(found["paired"], better, "points of F1", "sign test", "questions")
    return text + _note("Where fewer than ten differ, the interval is no surer than the test.") * bool(found["paired"])


def _judge(found: Mapping[str, Any]) -> str:
    judge = found["judge"]
    if judge is None:
        return ""
    lines = [f"<b>{esc(judge['name'])}</b> graded {judge['asked']} different answers.", *map(esc, trust(judge))]
    if judge["exact"] is not None:
        lines.append(f"Answers that are exact have {100 * judge['exact']:.0f} of it on average.")
    cost = judge["cost"]
    price = "price not known" if cost is None else f"cost {cost:.4g}"
    lines.append(f"{judge['tokens_in']:,} tokens in, {judge['tokens_out']:,} out; {price}.")
    return "".join(f"<p>{line}</p>" for line in lines)


def _retrieval(cells: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [esc(cell["name"]), share(cell["scores"].get("retrieval_hit")),
         *(f"{share(cell['f1_by_hit'][part])}" for part in ("found", "missed"))]
        for cell in cells if "f1_by_hit" in cell
    ]  # fmt: skip
    note = "F1 where the evidence was found is what the model makes of it; where it was missed better retrieval helps."
    return grid(["cell", "found", "F1 where found", "F1 where missed"], rows, words=1) + _note(note) if rows else ""


def _times(found: Mapping[str, Any]) -> str:
    rows, notes = [], []
    for cell in found["cells"]:
        cost = cell["cost"]
        notes.append(cost["note"])
        rows.append([
            esc(cell["name"]), *(number(cell["ms"][k]) for k in ("p50", "p95")),
            *(number(cell[f"tokens_{k}"]) for k in ("in", "out")),
            str(cell["errors"]), str(cell["finish"].get("length", 0)),
            "–" if cost["total"] is None else f"{cost['total']:.4g}",
            "–" if cost["per_1000"] is None else f"{cost['per_1000']:.3g}",
        ])  # fmt: skip
    names = ["cell", "p50 ms", "p95 ms", "tokens in", "out", "errors", "cut at the limit", "cost", "cost of 1,000"]
    return grid(names, rows, words=1) + _note(f"Cost: {'; '.join(dict.fromkeys(notes))}.")


def _answers(cells: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], top: Collection[str]) -> str:
    """The worst and the best answers of each cell, the best cells first, and the first of them unfolded."""
    parts: list[str] = []
    for cell in sorted(cells, key=lambda cell: cell["name"] not in top):
        mine = sorted((row for row in rows if row["cell"] == cell["name"]), key=_goodness)
        wrong = [row for row in mine if row["f1"] < 1][:_SHOWN]
        right = [row for row in reversed(mine) if row["f1"] == 1][:_SHOWN]
        counts = f"{sum(row['f1'] < 1 for row in mine)} of {len(mine)} are not exactly the reference"
        body = (f"<h4>The worst</h4>{_table(wrong)}" if wrong else "") + (
            unfold("Right ones", _table(right)) if right else ""
        )
        title = f"<b>{esc(cell['name'])}</b> <span class=note>{counts}</span>"
        parts.append(unfold(title, f"<div class=in>{body}</div>", not parts))
    return "".join(parts)


def _goodness(row: Mapping[str, Any]) -> tuple[float, float, str]:
    judge = row.get("judge")
    return (row["f1"], judge if judge is not None else -1.0, row["id"])


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for row in rows:
        meant, got = differing(_short(row["expected"]), _short(row["response"] or ""))
        if row["finish"] == "error":
            got = f"<span class=note>no answer: {esc(_short(str(row.get('reason'))))}</span>"
        both = f"<div><small>meant</small>{meant}</div><div class=got><small>given</small>{got}</div>"
        grades = ", ".join("–" if g is None else str(g) for g in row.get("grades") or ())
        scores = f"F1 {100 * row['f1']:.0f}" + (f"<br>grades {grades}" if grades else "")
        if row.get("retrieval_hit") is not None:
            scores += "<br>found" if row["retrieval_hit"] else "<br>evidence not found"
        lines.append([_question(row), both, scores])
    return f"<div class=pairs>{grid(['question', 'answer', ''], lines, words=3)}</div>"


def _question(row: Mapping[str, Any]) -> str:
    where = f"window {row['window'][0]}–{row['window'][1]}" if row["window"] else ""
    shown = f"shown {', '.join(map(str, row['shown']))}" if row["strategy"] == "rag" else ""
    told = " · ".join(filter(None, [str(row["document"]), where, shown]))
    evidence = f"<div class=note>{esc(_short(row['evidence']))}</div>" if row["evidence"] else ""
    return f"{esc(_short(row['question']))}{evidence}<div class=note>{esc(told)}</div>"


def _short(text: str) -> str:
    return text if len(text) <= _LONG else text[:_LONG] + " …"
