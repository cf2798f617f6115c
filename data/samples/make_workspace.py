"""Make a team's workspace: channels, threads, reactions, edits, bots, links, code; as JSON lines and as a Slack export.

    python data/samples/make_workspace.py make --out work/events/log            # workspace.jsonl, slack/, truth.jsonl
    python data/samples/make_workspace.py ceiling --truth work/events/log/truth.jsonl --rows work/events/valid.jsonl

Nobody's messages: the texts are written for this project, people and times are drawn from a seed. Each topic has
somebody who knows it best and somebody who comes second, and a message shows in its words what it needs next. Who
answers is drawn from a distribution, so that no model can always be right; the distribution of every message is written
to `truth.jsonl`, and `ceiling` says what the best possible guess reaches on given rows. Same seed: same bytes.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from workspace_texts import (
    CHATTER,
    CLOSINGS,
    CODE,
    DAYS,
    DETAILS,
    EMOJI,
    FOLLOW_UPS,
    LINKS,
    NAMES,
    OPENERS,
    SETTLED,
    TOPICS,
)

from querywright.artefacts import read_jsonl, replacing, write_json, write_jsonl

START = datetime(2025, 3, 3, 8, tzinfo=UTC)
HELP, STREAMS = ("help-desk", "product", "engineering", "customers"), ("random", "office")
MAIN, SECOND, NOBODY = 0.66, 0.16, 0.05
"""How often the one who knows a topic best answers, the second, and nobody."""
NIL = ""

Dist = dict[str, float]


class Workspace:
    """People, and everything that they wrote. Rows are what a Slack export holds, and `first` texts beside it."""

    def __init__(self, seed: int, n: int) -> None:
        self.r = random.Random(seed)
        alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
        self.people = ["U0" + "".join(self.r.choices(alphabet, k=7)) + str(self.r.randrange(10)) for _ in NAMES]
        topics = [*TOPICS]
        self.best = dict(zip(topics, self.people, strict=False))
        self.second = {t: self.people[(i + 3) % len(topics)] for i, t in enumerate(topics)}
        # two of those who are nobody's first choice talk a lot, two hardly ever
        self.talk = dict(zip(self.people, [1.0] * len(topics) + [3.0, 3.0, 0.25, 0.25], strict=True))
        self.messages: list[dict[str, Any]] = []
        self.truth: dict[str, Dist] = {}
        self.taken: set[int] = set()
        free = defaultdict(lambda: START)
        for _ in range(n):
            if self.r.random() < 0.12:
                channel = self.r.choice(STREAMS)
                # more than an hour after the last word: a new conversation
                at = self._hours(free[channel] + timedelta(minutes=self.r.uniform(95, 800)))
                free[channel] = self._chat(channel, at)
            else:
                channel = self.r.choice(HELP)
                at = free[channel] = self._hours(free[channel] + timedelta(minutes=self.r.expovariate(1 / 120)))
                self._question(channel, at)
        self.end = max(m["at"] for m in self.messages)
        self._noise(n)
        self.messages.sort(key=lambda m: m["ts"])

    def _hours(self, at: datetime) -> datetime:
        """The same time, or the next working morning."""
        if at.hour >= 17:
            at = at.replace(hour=8, minute=self.r.randrange(60)) + timedelta(days=1)
        while at.weekday() > 4:
            at += timedelta(days=1)
        return at

    def _post(self, channel: str, at: datetime, user: str, text: str, root: str = "", **more: Any) -> dict[str, Any]:
        stamp = int(at.timestamp()) * 1_000_000 + self.r.randrange(1000, 900_000)
        while stamp in self.taken:
            stamp += 1
        self.taken.add(stamp)
        ts = f"{stamp // 1_000_000}.{stamp % 1_000_000:06d}"
        message = {"ts": ts, "at": at, "channel": channel, "user": user, "text": text, "root": root, **more}
        self.messages.append(message)
        return message

    def _words(self, template: str, topic: str) -> str:
        text = template.replace("{x}", self.r.choice(TOPICS[topic][0]))
        while "{n}" in text:
            text = text.replace("{n}", str(self.r.randint(2, 9)), 1)
        return text.replace("{day}", self.r.choice(DAYS))

    def _dressed(self, text: str) -> str:
        """A message as people write it: mentions, links, code, lower case."""
        if self.r.random() < 0.25:
            text = text.lower() if self.r.random() < 0.5 else text[0].upper() + text[1:]
        if self.r.random() < 0.1:
            text = f"<@{self.r.choice(self.people)}> {text}"
        for extra in (LINKS, CODE):
            if self.r.random() < 0.08:
                text += " " + self.r.choice(extra).replace("{n}", str(self.r.randint(1, 9)))
        return text

    def who(self, kind: str, author: str, asker: str) -> Dist:
        """The rule: how likely each person is to speak next, and that nobody does; never the last author.

        Args:
            kind: a topic that is asked for, `answered`, `closing` or `chatter`.
        """
        others = {p: w for p, w in self.talk.items() if p != author}
        if kind in TOPICS:
            fixed = {NIL: NOBODY, self.best[kind]: MAIN, self.second[kind]: SECOND}
        elif kind == "answered":
            fixed = {NIL: 0.6, asker: 0.28}
        elif kind == "closing":
            fixed = {NIL: 0.85}
        else:
            fixed = {NIL: 0.2, self.people[8]: 0.5}
        fixed.pop(author, None)
        left = {p: w for p, w in others.items() if p not in fixed}
        rest = max(0.0, 1.0 - sum(fixed.values()))
        dist = fixed | {p: rest * w / sum(left.values()) for p, w in left.items()}
        return {p: round(share, 6) for p, share in dist.items()}

    def _draw(self, dist: Dist) -> str:
        return self.r.choices([*dist], [*dist.values()])[0]

    def _talk(self, message: dict[str, Any], kind: str, topic: str, root: str, pause: float) -> datetime:
        """Let a conversation run on from a message until nobody answers; returns when it ended."""
        asker = message["user"]
        while True:
            dist = self.who(kind, message["user"], asker)
            chosen = self._draw(dist)
            self.truth[f"{message['channel']}/{message['ts']}"] = dist
            at = message["at"]
            if kind in TOPICS and self.r.random() < 0.1:
                at += timedelta(minutes=self.r.uniform(0.5, 3))
                message = self._post(message["channel"], at, message["user"], self.r.choice(FOLLOW_UPS), root)
                self.truth[f"{message['channel']}/{message['ts']}"] = dist
            if chosen == NIL:
                return at
            at += timedelta(minutes=min(self.r.lognormvariate(pause, 0.8), 40 if not root else 600))
            if kind in TOPICS:
                text = self._words(self.r.choice(TOPICS[kind][2]), kind)
                following = [t for t in TOPICS if chosen not in (self.best[t], self.second[t]) and t != kind]
                if self.r.random() < 0.45:
                    topic = self.r.choice(following)
                    text += " but " + self._words(self.r.choice(TOPICS[topic][3]), topic) + "."
                    kind = topic
                else:
                    text, kind = text + " " + self.r.choice(SETTLED), "answered"
            elif kind == "answered" and self.r.random() < 0.3:
                text, kind = "one more thing, " + self._words(self.r.choice(TOPICS[topic][1]), topic), topic
            elif kind == "chatter":
                text = self.r.choice(CHATTER)
            else:
                text, kind = self.r.choice(CLOSINGS), "closing"
            message = self._post(message["channel"], at, chosen, self._dressed(text), root)

    def _question(self, channel: str, at: datetime) -> None:
        topic = self.r.choice([*TOPICS])
        asking = [p for p in self.people if p not in (self.best[topic], self.second[topic])]
        text = self.r.choice(OPENERS) + self._words(self.r.choice(TOPICS[topic][1]), topic) + self.r.choice(DETAILS)
        root = self._post(channel, at, self.r.choice(asking), self._dressed(text))
        self._talk(root, topic, topic, root["ts"], 2.3)

    def _chat(self, channel: str, at: datetime) -> datetime:
        message = self._post(channel, at, self.r.choice(self.people), self._dressed(self.r.choice(CHATTER)))
        return self._talk(message, "chatter", "", "", 1.2)

    def _noise(self, n: int) -> None:
        """Bots, joins, messages taken back, edits and reactions. None of it changes who answers."""
        spoken = list(self.messages)
        span = (self.end - START).total_seconds()
        for _ in range(n // 8):
            at = START + timedelta(seconds=self.r.uniform(0, span))
            text = (
                f"Build #{self.r.randrange(1000, 9999)} {self.r.choice(['passed', 'failed'])} https://ci.example.org/"
            )
            self._post(self.r.choice(HELP), at, "U0BUILDBOT", text, kind="bot")
        for channel in (*HELP, *STREAMS):
            for user in self.people:
                self._post(channel, START - timedelta(hours=1), user, f"<@{user}> has joined the channel", kind="join")
        for m in self.r.sample(spoken, n // 30):
            at = m["at"] + timedelta(seconds=self.r.uniform(20, 90))
            self._post(m["channel"], at, m["user"], "oops, wrong channel, ignore me please", kind="deleted")
        for m in spoken:
            if self.r.random() < 0.03:
                m["first"] = m["text"].replace("the ", "teh ", 1)
                m["edited"] = m["at"] + timedelta(seconds=self.r.uniform(10, 4000))
            m["reactions"] = []
            while self.r.random() < 0.2:
                later = m["at"] + timedelta(seconds=self.r.expovariate(1 / 1800) + 5)
                m["reactions"].append((self.r.choice(EMOJI), self.r.choice(self.people), later))


def write_lines(w: Workspace, path: Path) -> None:
    """All events as JSON lines in order of time, with some lines that are broken."""
    events: list[tuple[float, str]] = []

    def add(at: float, event: dict[str, Any]) -> None:
        events.append((at, json.dumps(event, ensure_ascii=False)))

    for m in w.messages:
        own, at, kind = f"{m['channel']}/{m['ts']}", float(m["ts"]), m.get("kind", "")
        thread = {"thread": f"{m['channel']}/{m['root']}"} if m["root"] else {}
        event = {"type": "message", "id": own, "channel": m["channel"], "user": m["user"], "time": at}
        if kind == "join":
            add(at, {"type": "join", "channel": m["channel"], "user": m["user"], "time": at})
            continue
        add(at, {**event, "text": m.get("first", m["text"]), **thread, **({"bot": True} if kind == "bot" else {})})
        if kind == "deleted":
            add(at + 30, {"type": "delete", "message": own, "time": at + 30})
        if "edited" in m:
            when = m["edited"].timestamp()
            add(when, {"type": "edit", "message": own, "text": m["text"], "time": when})
        for name, user, later in m.get("reactions", ()):
            when = later.timestamp()
            add(when, {"type": "reaction", "message": own, "user": user, "name": name, "time": when})
    lines = [line for _, line in sorted(events, key=lambda e: e[0])]
    broken = [
        '{"type": "message", "channel": "product", "us',
        "[]",
        '{"channel": "product", "user": "U0", "text": "when?"}',
    ]
    for i, line in enumerate(broken):
        lines.insert(len(lines) // 4 * (i + 1), line)
    with replacing(path) as out:
        out.write("".join(line + "\n" for line in lines))


def write_slack(w: Workspace, folder: Path) -> None:
    """The same as the folder of a Slack export."""
    users = [{"id": u, "name": n.split()[0].lower(), "real_name": n} for u, n in zip(w.people, NAMES, strict=True)]
    write_json(folder / "users.json", [*users, {"id": "U0BUILDBOT", "name": "builds", "is_bot": True}])
    channels = (*HELP, *STREAMS)
    write_json(folder / "channels.json", [{"id": f"C0{i:08d}", "name": name} for i, name in enumerate(channels)])
    days: dict[tuple[str, str], list[Any]] = defaultdict(list)
    hung = {(m["channel"], m["root"]) for m in w.messages if m["root"]}
    for m in w.messages:
        kind, day = m.get("kind", ""), (m["channel"], m["at"].strftime("%Y-%m-%d"))
        if kind == "deleted":  # an export does not hold it
            continue
        entry: dict[str, Any] = {"type": "message", "user": m["user"], "text": m["text"], "ts": m["ts"]}
        if kind == "bot":
            entry = {**entry, "subtype": "bot_message", "bot_id": "B0BUILDS01"}
        if kind == "join":
            entry["subtype"] = "channel_join"
        if m["root"] or (m["channel"], m["ts"]) in hung:
            entry["thread_ts"] = m["root"] or m["ts"]
        if "edited" in m:
            entry["edited"] = {"user": m["user"], "ts": f"{m['edited'].timestamp():.6f}"}
        given: dict[str, list[str]] = defaultdict(list)
        for name, user, _ in m.get("reactions", ()):
            given[name] += [user] * (user not in given[name])
        if given:
            entry["reactions"] = [{"name": k, "users": v, "count": len(v)} for k, v in given.items()]
        days[day].append(entry)
    first = next(iter(days.values()))
    first += ["not an entry", {"type": "message", "user": w.people[0], "text": "no time"}]
    for (channel, day), entries in days.items():
        write_json(folder / channel / f"{day}.json", entries)


def ceiling(truth: Path, rows: Path, labels: Path) -> dict[str, Any]:
    """What who knows the rule reaches on rows: the expected accuracy, and the accuracy on how it turned out."""
    known = {row["message"]: row["who"] for row in read_jsonl(truth)}
    label = {p["user"]: p["label"] for p in json.loads(labels.read_text(encoding="utf-8"))["people"]}
    expected, right, n = 0.0, 0, 0
    for row in read_jsonl(rows):
        shares: dict[str, float] = defaultdict(float)
        for user, share in known[row["message"]].items():
            shares[label.get(user, "nil")] += share
        if row.get("weak") == "too few words":
            shares = defaultdict(float, nil=1.0)
        best = max(shares, key=lambda text: shares[text])
        expected, right, n = expected + shares[best], right + (best == row["answer"]), n + 1
    return {"rows": n, "expected": round(expected / n, 4), "turned out": round(right / n, 4)}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="write a workspace")
    make.add_argument("--out", type=Path, required=True)
    make.add_argument("--conversations", type=int, default=1100)
    make.add_argument("--seed", type=int, default=17)
    best = commands.add_parser("ceiling", help="the best possible accuracy on rows")
    best.add_argument("--truth", type=Path, required=True)
    best.add_argument("--rows", type=Path, required=True)
    best.add_argument("--labels", type=Path, help="default: labels.json beside the rows")
    given = parser.parse_args()
    if given.command == "ceiling":
        print(json.dumps(ceiling(given.truth, given.rows, given.labels or given.rows.parent / "labels.json")))
        return
    w = Workspace(given.seed, given.conversations)
    write_lines(w, given.out / "workspace.jsonl")
    write_slack(w, given.out / "slack")
    write_jsonl(given.out / "truth.jsonl", ({"message": k, "who": v} for k, v in w.truth.items()))
    print(f"{len(w.messages)} messages, {given.conversations} conversations in {given.out}")


if __name__ == "__main__":
    main()
