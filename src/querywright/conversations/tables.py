"""Conversations as tables, and back. All names begin with `chat_`, so that a database may hold other things as well.

    chat_source        a config and the models of a file of conversations, by their content
    chat_conversation  one conversation, by the hash of what was said in it (`document.conversation_id`)
    chat_turn          what the user said, and which response the talk goes on with
    chat_response      two a turn
    chat_judgement     which of the two a judge preferred
    chat_meta          the layout's version

Every key comes from the content, so that a row that is inserted twice is there once. What a file says beyond the
columns is kept as JSON under `extra`, and comes back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from querywright.artefacts import content_id
from querywright.conversations.document import Conversation, conversation_id
from querywright.conversations.judgements import judgements
from querywright.database import OtherLayout, Words, sa, storable
from querywright.errors import QuerywrightError

LAYOUT = 1
_LOCK = 0x51574356  # any number that is ours: PostgreSQL's advisory locks are numbers
_BIG = 2**63

metadata = sa.MetaData()


def _words(name: str, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, Words, nullable=null)


def _place() -> tuple[sa.Column[Any], ...]:
    return sa.Column("conversation", sa.String(16), primary_key=True), sa.Column("place", sa.Integer, primary_key=True)


def _in_turn() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["conversation", "place"], ["chat_turn.conversation", "chat_turn.place"])


source = sa.Table(
    "chat_source", metadata, sa.Column("id", sa.String(16), primary_key=True), _words("config"), _words("models"),
    _words("user_model", null=True), _words("weights"),
)  # fmt: skip
conversation = sa.Table(
    "chat_conversation", metadata, sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("source", sa.ForeignKey("chat_source.id"), nullable=False),
    sa.Column("number", sa.BigInteger), _words("persona", null=True), _words("user_model", null=True),
    _words("ended", null=True), _words("extra"), sa.Index("chat_conversation_source", "source"),
)  # fmt: skip
turn = sa.Table(
    "chat_turn", metadata, *_place(), _words("said"), sa.Column("picked", sa.SmallInteger, nullable=False),
    _words("extra"), sa.ForeignKeyConstraint(["conversation"], ["chat_conversation.id"]),
)  # fmt: skip
response = sa.Table(
    "chat_response", metadata, *_place(), sa.Column("side", sa.SmallInteger, primary_key=True), _words("model"),
    _words("said"), sa.Column("tokens_in", sa.BigInteger), sa.Column("tokens_out", sa.BigInteger),
    sa.Column("ms", sa.Float(53)), _words("finish", null=True), _words("extra"), _in_turn(),
    sa.Index("chat_response_model", "model"),
)  # fmt: skip
judgement = sa.Table(
    "chat_judgement", metadata, *_place(), sa.Column("judge", Words, primary_key=True),
    sa.Column("settings", Words, primary_key=True), _words("preferred", null=True),
    sa.Column("agreed", sa.Boolean, nullable=False), _words("extra"), _in_turn(),
)  # fmt: skip
meta = sa.Table("chat_meta", metadata, sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text))

ROWS = (conversation, turn, response, judgement)
"""What a conversation is kept in, parents first."""

Rows = dict[str, list[dict[str, Any]]]
Source = dict[str, Any]  # a row of chat_source
HEAD = ("config", "models", "user", "weights")  # what a document says of where its conversations come from
Reader = Callable[[Mapping[str, Any], str], Any]  # a column's value out of a key, None where the column can't hold it


def prepare(db: sa.Connection) -> None:
    """Make the tables where they are not there, in the transaction that `db` is in.

    Raises:
        OtherLayout: a newer Querywright made them.
    """
    if db.dialect.name != "sqlite":  # two may begin at once; SQLite's transaction holds the file alone
        db.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    if not has_tables(db):
        metadata.create_all(db, checkfirst=False)  # tables of these names that are not ours are an error
        db.execute(sa.insert(meta).values(name="layout", value=str(LAYOUT)))


def has_tables(db: sa.Connection) -> bool:
    """Whether the database holds conversations.

    Raises:
        OtherLayout: of a newer layout.
    """
    if not sa.inspect(db).has_table(meta.name):
        return False
    found = int(db.execute(sa.select(meta.c.value).where(meta.c.name == "layout")).scalar() or 0)
    if found != LAYOUT:
        raise OtherLayout(f"conversations of layout {found} (this Querywright reads {LAYOUT})")
    return True


def source_row(head: Mapping[str, Any]) -> Source:
    """Where the conversations of a document come from (its config and what its labels mean), under an id that these
    make."""
    told = _kept({key: head.get(key) for key in HEAD})
    tables = {key: _json(told[key] if isinstance(told[key], dict) else {}) for key in ("config", "models", "weights")}
    row = {**tables, "user_model": _json(told["user"]) if isinstance(told["user"], dict) else None}
    return {"id": content_id(_json(row), 16), **row}


def head_of(row: Source) -> dict[str, Any]:
    """What a source says, as a document has it."""
    found = {key: json.loads(row[key]) for key in ("config", "models", "weights")}
    user = {"user": json.loads(row["user_model"])} if row["user_model"] else {}
    return {key: value for key, value in {**found, **user}.items() if value or key in ("config", "models")}


def rows_of(conversations: Iterable[tuple[Source, Conversation]]) -> Rows:
    """The rows of conversations that are whole (`document.fault` finds nothing), each with its source, by table; each
    key once, in the order of the keys."""
    found: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {table.name: {} for table in (source, *ROWS)}

    def add(table: sa.Table, row: dict[str, Any]) -> None:
        found[table.name].setdefault(tuple(row[c.name] for c in table.primary_key), row)

    for origin, one in conversations:
        id_ = one["id"]
        add(source, origin)
        add(conversation, {
            "id": id_, "source": origin["id"], "number": _whole(one, "number"),
            "persona": _json_or_none(one, "persona"), "user_model": _text(one, "user"),
            "ended": _text(one, "ended"), "extra": _extra(one, _OUTER),
        })  # fmt: skip
        for place, said in enumerate(one["turns"]):
            at = {"conversation": id_, "place": place}
            add(turn, {**at, "said": said["user"], "picked": said["picked"], "extra": _extra(said, _TURN)})
            for side, answer in enumerate(said["responses"]):
                add(response, {
                    **at, "side": side, "model": answer["model"], "said": answer["text"],
                    "tokens_in": _whole(answer, "tokens_in"), "tokens_out": _whole(answer, "tokens_out"),
                    "ms": _number(answer, "ms"), "finish": _text(answer, "finish"), "extra": _extra(answer, _RESPONSE),
                })  # fmt: skip
            for judged in judgements(said):
                add(judgement, {
                    **at, "judge": judged["judge"], "settings": str(judged.get("settings", "")),
                    "preferred": None if judged.get("preferred") is None else str(judged["preferred"]),
                    "agreed": judged.get("agreed") is True, "extra": _extra(judged, _JUDGEMENT),
                })  # fmt: skip
    return {name: [rows[key] for key in sorted(rows)] for name, rows in found.items()}  # one order: no deadlocks


def storable_conversation(conversation: Conversation) -> Conversation:
    """The conversation as both kinds of database can hold it, under the id of what is said in it then.

    Raises:
        QuerywrightError: something in it is nested too deep.
    """
    try:
        kept: Conversation = _kept(conversation)
    except RecursionError:
        raise QuerywrightError(
            f"conversation {str(conversation.get('id'))[:20]} is nested too deep", hint="leave it out"
        ) from None
    return {**kept, "id": conversation_id(kept)}


def conversation_of(row: Mapping[str, Any], turns: Sequence[Mapping[str, Any]]) -> Conversation:
    """A conversation out of its row and those of its turns (each with `responses` and `judgements`), in their order."""
    found: Conversation = {"id": row["id"]}
    for key, column in (("number", "number"), ("user", "user_model"), ("ended", "ended")):
        if row[column] is not None:
            found[key] = row[column]
    found["persona"] = None if row["persona"] is None else json.loads(row["persona"])
    return {**found, **json.loads(row["extra"]), "turns": [_turn_of(one) for one in turns]}


def _turn_of(row: Mapping[str, Any]) -> dict[str, Any]:
    answers = [
        {"model": r["model"], "text": r["said"], **_present(r), **json.loads(r["extra"])} for r in row["responses"]
    ]
    found = {"user": row["said"], "responses": answers, "picked": row["picked"], **json.loads(row["extra"])}
    judged = [
        {"judge": j["judge"], "settings": j["settings"], "preferred": _preferred(j["preferred"]),
         "agreed": bool(j["agreed"]), **json.loads(j["extra"])}
        for j in row["judgements"]
    ]  # fmt: skip
    return {**found, **({"judgements": judged} if judged else {})}


def _preferred(value: str | None) -> int | str | None:
    return int(value) if value in ("0", "1") else value


def _present(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("tokens_in", "tokens_out", "ms", "finish") if row[key] is not None}


def _extra(value: Mapping[str, Any], columns: Mapping[str, Reader]) -> str:
    """What the columns can't say: unknown keys, and known ones with values of another kind."""
    return _json({
        k: v for k, v in value.items() if k not in columns or (v is not None and columns[k](value, k) is None)
    })  # fmt: skip


def _whole(row: Mapping[str, Any], key: str) -> int | None:
    value = row.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and -_BIG <= value < _BIG else None


def _number(row: Mapping[str, Any], key: str) -> float | None:
    value = row.get(key)
    return (
        float(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 else None
    )


def _text(row: Mapping[str, Any], key: str) -> str | None:
    value = row.get(key)
    return value if isinstance(value, str) else None


def _always(row: Mapping[str, Any], key: str) -> bool:
    """Of keys that are in their columns whatever they hold, or are what it is all about."""
    return True


def _listed(row: Mapping[str, Any], key: str) -> list[dict[str, Any]] | None:
    return judgements(row) or None


def _json_or_none(row: Mapping[str, Any], key: str) -> str | None:
    return None if row.get(key) is None else _json(row[key])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _kept(value: Any) -> Any:
    """A JSON value with texts that both databases can hold."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(str(k)): _kept(v) for k, v in value.items()}
    return [_kept(v) for v in value] if isinstance(value, list) else value


_OUTER: dict[str, Reader] = {
    "id": _always, "number": _whole, "persona": _always, "user": _text, "ended": _text, "turns": _always,
}  # fmt: skip
_TURN: dict[str, Reader] = {"user": _always, "picked": _always, "responses": _always, "judgements": _listed}
_RESPONSE: dict[str, Reader] = {
    "model": _always, "text": _always, "tokens_in": _whole, "tokens_out": _whole, "ms": _number, "finish": _text,
}  # fmt: skip
_JUDGEMENT: dict[str, Reader] = dict.fromkeys(("judge", "settings", "preferred", "agreed"), _always)
