"""Conversations of synthetic users with several models, so that a run that is killed goes on where it was.

Every answer stands in `OUT.answers/` before it counts (see `engines.ledger`), and everything else is drawn from the
seed: the same command finds all that was said and asks only for what is missing. Conversations that were under way
when a run ended are in the answers, not in the output, which holds whole ones only.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.artefacts import alone, sha256, write_json
from querywright.conversations.cast import Cast, Openers, open_cast, told
from querywright.conversations.config import Config, Persona
from querywright.conversations.document import SIDES, VERSION, Conversation, conversation_id, read, refuse_place
from querywright.conversations.llm import LLM, entry_name
from querywright.conversations.personas import generate
from querywright.conversations.plan import Plan, openings_of, plans
from querywright.conversations.talk import Missing, talk
from querywright.engines.base import Completion
from querywright.engines.budget import BudgetReached, Purse
from querywright.engines.sender import Prompt
from querywright.errors import QuerywrightError
from querywright.progress import say, track


@dataclass(frozen=True)
class Limits:
    """What is never exceeded, earlier runs into the same output included: money, and tokens in and out."""

    money: float | None = None
    tokens: int | None = None


def synthesize(config: Config, out: Path, n: int, openers: Openers, limits: Limits = Limits()) -> dict[str, Any]:
    """Hold `n` conversations and write them to `out`, see `document`; returns what was written.

    Raises:
        QuerywrightError: `out` holds something else, or the run could not be finished: what is whole is written.
    """
    refuse_place(out)
    folder = out.with_name(out.name + ".answers")
    openings = openings_of(config)
    facts: dict[str, Any] = {"inputs": {"openings": sha256(config.openings)[:16]} if config.openings else {}}
    old = _old(out, config, facts)
    if old and old["planned"] >= n and not old["missing"]:
        say(f"conversations: {out} holds the {old['planned']} that were planned, nothing to do")
        return old
    with alone(folder):
        say(_announced(config, n, openings))
        purse = Purse(limits.money, limits.tokens)
        cast = open_cast(llms(config), folder, openers, purse, SIDES * config.concurrency)
        try:
            facts["weights"] = {_named(place): digest for place, digest in cast.weights.items()}
            if old and old.get("weights") != facts["weights"]:
                raise _other(out, "a local model has changed since")
            return _run(config, out, max(n, old.get("planned", 0)), cast, facts, old, openings)
        finally:
            cast.close()


def _run(
    config: Config, out: Path, n: int, cast: Cast, facts: dict[str, Any], old: dict[str, Any], openings: Sequence[str]
) -> dict[str, Any]:
    kept: dict[int, Conversation | None] = {c["number"]: c for c in old.get("conversations", ())}
    kept |= dict.fromkeys(old.get("left_out", ()))
    failure: QuerywrightError | None = None
    try:
        personas = people(config, cast)
        wanted = [plan for plan in plans(config, n, personas, openings) if plan.number not in kept]
        failure = _hold(config, cast, wanted, kept)
    except QuerywrightError as error:
        failure = error
    finally:  # Ctrl-C too
        made = _document(config, facts, kept, n, cast)
        if made["conversations"] or old:
            write_json(out, made)
    done = len(made["conversations"])
    if failure is not None:
        where = f"{done} of {n} conversations are whole, in {out}" if done else f"no conversation of {n} is whole yet"
        hint = failure.hint
        if isinstance(failure, BudgetReached):
            hint = f"the same command with a higher {failure.hint} goes on"
        raise QuerywrightError(f"{failure}; {where}", hint=hint, retryable=failure.retryable) from failure
    say(_summary(made, out))
    return made


def people(config: Config, cast: Cast) -> list[Persona]:
    """Who talks: the personas given, and those that a model writes; none where users are nobody in particular."""
    if not config.use_personas:
        return []
    given = list(config.personas)
    if config.generate_num_personas and config.persona_llm:
        given += generate(config, config.persona_llm, cast)
    if not given:
        raise QuerywrightError(
            f"{config.persona_llm.known_as if config.persona_llm else 'nobody'} wrote no usable persona",
            hint="a larger persona_llm, or `personas` of your own",
        )
    return given


def _hold(
    config: Config, cast: Cast, wanted: Sequence[Plan], kept: dict[int, Conversation | None]
) -> QuerywrightError | None:
    """Hold the conversations that are wanted; returns what ended it before all of them were."""
    models = config.models()
    before = len(kept)
    asked: list[Plan] = []
    for plan in wanted:
        try:
            kept[plan.number] = talk(plan, config.user_llm, models, cast.replay)
        except Missing:
            asked.append(plan)
    if len(kept) > before:
        say(f"conversations: {len(kept) - before} are whole in the answers of an earlier run")
    stop = threading.Event()
    failures: list[QuerywrightError] = []

    def ask(llm: LLM, prompt: Prompt) -> list[Completion]:
        if stop.is_set():
            raise _Stopped("another conversation ended the run")
        return cast.ask(llm, prompt)

    def one(plan: Plan) -> None:
        try:
            kept[plan.number] = talk(plan, config.user_llm, models, ask, pool)
        except _Stopped:
            return
        except QuerywrightError as error:
            failures.append(error)
            stop.set()
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(SIDES * config.concurrency) as pool, ThreadPoolExecutor(config.concurrency) as talks:
        futures = [talks.submit(one, plan) for plan in asked]
        try:
            done = as_completed(futures)
            for future in track(done, "conversations", len(asked), note=lambda: str(cast.purse)):
                future.result()
        except BaseException:
            stop.set()
            talks.shutdown(wait=False, cancel_futures=True)
            raise
    return next((f for f in failures if not isinstance(f, BudgetReached)), failures[0] if failures else None)


def _document(
    config: Config, facts: dict[str, Any], kept: dict[int, Conversation | None], n: int, cast: Cast
) -> dict[str, Any]:
    """What is written: no conversation twice."""
    whole: dict[str, Conversation] = {}
    twice = 0
    for number in sorted(kept):
        conversation = kept[number]
        if conversation is not None:
            twice += conversation["id"] in whole
            whole.setdefault(conversation["id"], conversation)
    if twice:
        say(
            f"conversations: {twice} are word for word the same as another one and are left out (a higher temperature?)"
        )
    again = sorted(number for number, c in kept.items() if c is None or whole[c["id"]]["number"] != number)
    return {
        "version": VERSION,
        "config": config.public(),
        "models": {label: llm.public() for label, llm in config.models().items()},
        "user": config.user_llm.public(),
        **facts,
        "planned": n,
        "missing": n - len(kept),
        "left_out": again,
        "usage": cast.usage(),
        "conversations": [*whole.values()],
    }


def llms(config: Config) -> list[LLM]:
    """Every model that a run asks."""
    writes = config.persona_llm if config.use_personas and config.generate_num_personas else None
    answer = [llm for llm in config.eval_llms if llm.sample_weight > 0]
    return [*([writes] if writes else []), config.user_llm, *answer]


class _Stopped(QuerywrightError):
    """The run ends; this conversation goes on in the next one."""


def _old(out: Path, config: Config, facts: dict[str, Any]) -> dict[str, Any]:
    """What an earlier run wrote; empty where there was none.

    Raises:
        QuerywrightError: it was written with another config or other openings, or by something else.
    """
    if not out.is_file():
        return {}
    found = read(out)
    then = found.get("config")
    if not isinstance(then, dict) or not _as_written(found):
        raise _other(out, "they are not as this command left them")
    if then != json.loads(json.dumps(config.public())):
        now = config.public()
        keys = sorted(k for k in {*now, *then} if json.loads(json.dumps(now.get(k))) != then.get(k))
        raise _other(out, f"another config ({', '.join(keys)})")
    if found.get("inputs") != facts["inputs"]:
        raise _other(out, f"{config.openings or 'the file of openings'} has changed since")
    return found


def _as_written(found: Mapping[str, Any]) -> bool:
    """Whether a document is one of `synthesize`'s own: its numbers fit together, and its talks are under their ids."""
    talks, left_out = found["conversations"], found.get("left_out")
    if not isinstance(left_out, list):
        return False
    places = [*(one.get("number") for one in talks), *left_out]
    sums: Any = (found.get("planned"), found.get("missing"))
    if any(type(n) is not int or n < 0 for n in (*places, *sums)):
        return False
    whole = len({*places}) == len(places) and sums[0] == len(places) + sums[1]
    return whole and all(one.get("id") == conversation_id(one) for one in talks)


def _other(out: Path, why: str) -> QuerywrightError:
    return QuerywrightError(f"{out} holds other conversations: {why}", hint="choose another --output, or move it away")


def _named(place: str) -> str:
    facts = json.loads(place)
    return entry_name(facts)


def _announced(config: Config, n: int, openings: Sequence[str]) -> str:
    personas = len(config.personas) + config.generate_num_personas if config.use_personas else 0
    who = f"{personas} personas" if personas else "users who are nobody in particular"
    answer = ", ".join(f"{llm.known_as} ({llm.sample_weight:g})" for llm in config.eval_llms if llm.sample_weight > 0)
    first = f", {len(openings)} openings" if openings else ""
    return (
        f"conversations: {n} of {config.num_turns_min} to {config.num_turns_max} turns, {who}{first}; "
        f"{config.user_llm.known_as} plays the users, two of {answer} answer, {config.concurrency} at a time"
    )


def _summary(made: dict[str, Any], out: Path) -> str:
    done = made["conversations"]
    cut = sum(c["ended"] != "done" for c in done)
    turns = sum(len(c["turns"]) for c in done)
    left = f"; {len(made['left_out'])} came to nothing" if made["left_out"] else ""
    short = f", {cut} of them shorter than planned" if cut else ""
    return f"conversations: {len(done)} with {turns} turns in {out}{short}{left}; {told(made['usage'])}"
