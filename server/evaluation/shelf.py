"""Which uploads each team has. The same bytes are one file on disk, whoever posted them and however often; each team
has a listing of its own, and the file goes with the last one. That a team had a document is remembered: MLflow's copy
stays.

The tables stand in the job database. A file is moved to its place before its listing is committed, and taken away after
the last one is gone, so that no listing is left without its file. What a killed server or a full disk leaves is a file
without a listing: it is swept.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from querywright.database import Words, insert
from querywright.errors import QuerywrightError
from server.evaluation.quotas import Quotas
from server.evaluation.settings import Settings
from server.jobs.door import Door
from server.jobs.shown import iso

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_LOCK = 0x7177_7570  # any number, the same for all who make the tables
metadata = sa.MetaData()
listing = sa.Table(
    "upload", metadata, sa.Column("seq", _ID, primary_key=True, autoincrement=True),
    sa.Column("team", sa.Text, nullable=False), sa.Column("sha", sa.String(64), nullable=False, index=True),
    sa.Column("name", Words, nullable=False), sa.Column("kind", sa.Text, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False), sa.Column("chunks", sa.Integer, nullable=False),
    sa.Column("window_size", sa.Integer, nullable=False), sa.Column("window_step", sa.Integer, nullable=False),
    sa.Column("created", sa.Double, nullable=False), sa.UniqueConstraint("team", "sha"),
)  # fmt: skip
recorded = sa.Table(
    "upload_recorded", metadata, sa.Column("team", sa.Text, primary_key=True),
    sa.Column("sha", sa.String(64), primary_key=True), sa.Column("bytes", sa.BigInteger, nullable=False),
)  # fmt: skip
"""What each team has posted, deleted or not."""


class NoUpload(QuerywrightError):
    """An upload that is not there, or another team's; which of the two is not said."""


class Full(QuerywrightError):
    """A team keeps as much as it may."""


class OtherKind(QuerywrightError):
    """The same bytes are there as another kind of document."""


@dataclass(frozen=True)
class Listed:
    """An upload as a team has it.

    Attributes:
        sha: SHA-256 of its bytes: its name.
        name: as the team calls it.
        kind: json, jsonl or csv.
        window_size, window_step: the windows asked for when it came, in chunks.
        created: seconds since 1970.
    """

    sha: str
    name: str
    kind: str
    bytes: int
    chunks: int
    window_size: int
    window_step: int
    created: float

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        told = asdict(self) | {"created": iso(self.created)}
        return {"upload": told.pop("sha"), **told}


_SHOWN = [listing.c[field.name] for field in fields(Listed)]


class Shelf:
    """The uploads of all teams. Several threads and several processes may use it at once.

    Raises:
        QuerywrightError: its database can't be opened.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings, self.quotas = settings, settings.quotas
        self._door = Door(settings.jobs)
        self._door.write(_prepare, "open")

    def close(self) -> None:
        """Give the connections back. Idempotent."""
        self._door.close()

    def add(self, team: str, new: Listed, file: Path, windows: bool = False) -> tuple[Listed, bool]:
        """List a file that has come, and move it to its place unless its content is there already.

        Args:
            windows: those of an earlier listing are changed to the new ones.

        Returns:
            The listing (the earlier one where the team has it), and whether it is new.

        Raises:
            Full: the team has its most.
            OtherKind: the team has it as another kind.
        """
        place = self.settings.upload_file(new.sha)

        def work(db: sa.Connection) -> tuple[Listed, bool]:
            _hold(db, team, new.sha)
            row = db.execute(sa.select(*_SHOWN).where(_is(team, new.sha))).one_or_none()
            found = Listed(*row) if row else None
            if found is None:
                _room(db, team, new, self.quotas)
            elif found.kind != new.kind:
                raise OtherKind(
                    f"these bytes are there already, as {found.kind}", hint=f"DELETE /v1/evaluation/uploads/{new.sha}"
                )
            if not place.is_file():  # also where a listing has lost it
                place.parent.mkdir(parents=True, exist_ok=True)
                os.replace(file, place)
            if found is not None:
                if windows:
                    size, step = new.window_size, new.window_step
                    db.execute(sa.update(listing).where(_is(team, new.sha)).values(window_size=size, window_step=step))
                    found = replace(found, window_size=size, window_step=step)
                return found, False
            db.execute(sa.insert(listing).values(team=team, **asdict(new)))
            noted = insert(db, recorded).values(team=team, sha=new.sha, bytes=new.bytes)
            db.execute(noted.on_conflict_do_nothing())  # it had it before
            return new, True

        return self._door.write(work)

    def get(self, team: str, sha: str) -> Listed:
        """One upload.

        Raises:
            NoUpload: the team has none of this name.
        """
        row = self._door.read(lambda db: db.execute(sa.select(*_SHOWN).where(_is(team, sha))).one_or_none())
        if row is None:
            raise _none(sha)
        return Listed(*row)

    def listed(self, team: str, most: int, before: str | None = None) -> list[Listed]:
        """A team's uploads, the newest first.

        Args:
            before: the name of one: those that came earlier.

        Raises:
            NoUpload: `before` is none.
        """
        query = sa.select(*_SHOWN).where(listing.c.team == team).order_by(listing.c.seq.desc()).limit(most)

        def work(db: sa.Connection) -> list[Listed]:
            found = query
            if before is not None:
                at = db.execute(sa.select(listing.c.seq).where(_is(team, before))).scalar_one_or_none()
                if at is None:
                    raise _none(before)
                found = query.where(listing.c.seq < at)
            return [Listed(*row) for row in db.execute(found)]

        return self._door.read(work)

    def remove(self, team: str, sha: str, refuse: Callable[[], None] = lambda: None) -> None:
        """Take an upload off a team's list; the file goes too where no other team has it.

        Args:
            refuse: called once the upload is held; raises where it must stay.

        Raises:
            NoUpload: the team has none of this name.
        """

        def work(db: sa.Connection) -> None:
            _hold(db, team, sha)
            refuse()
            if not db.execute(sa.delete(listing).where(_is(team, sha))).rowcount:
                raise _none(sha)

        self._door.write(work)
        with suppress(QuerywrightError, OSError):  # the listing is gone: what stays is swept
            self._clear(sha)

    def sweep(self, older_s: float) -> None:
        """Delete files, older than so many seconds, that no listing names. Where nothing is listed at all, nothing is
        deleted: it may be another database than these files'."""

        def listed(db: sa.Connection) -> set[str]:
            return {*db.execute(sa.select(listing.c.sha).distinct()).scalars()}

        known = self._door.read(listed)
        for path in self.settings.uploads.glob("??/*") if known else ():
            with suppress(QuerywrightError, OSError):  # its name is no upload's, or it went meanwhile
                old = path.name not in known and time.time() - path.stat().st_mtime > older_s
                if old and self.settings.upload_file(path.name) == path:
                    self._clear(path.name)

    def _clear(self, sha: str) -> None:
        """Delete the file of a content that no listing names."""

        def work(db: sa.Connection) -> None:
            _hold(db, "", sha)  # nobody is listing it meanwhile
            if db.execute(sa.select(sa.func.count()).where(listing.c.sha == sha)).scalar_one() == 0:
                self.settings.upload_file(sha).unlink(missing_ok=True)

        self._door.write(work)

    def totals(self) -> tuple[int, int, int]:
        """Listings, files, and bytes of the files, of all teams."""

        def work(db: sa.Connection) -> tuple[int, int, int]:
            one = sa.select(sa.func.max(listing.c.bytes).label("bytes")).group_by(listing.c.sha).subquery()
            files, size = db.execute(sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(one.c.bytes), 0))).one()
            return db.execute(sa.select(sa.func.count()).select_from(listing)).scalar_one(), int(files), int(size)

        return self._door.read(work)


def _is(team: str, sha: str) -> Any:
    return sa.and_(listing.c.team == team, listing.c.sha == sha)


def _none(sha: str) -> NoUpload:
    return NoUpload(f"there is no upload {sha[:64]!r}", hint="GET /v1/evaluation/uploads lists them")


def _hold(db: sa.Connection, team: str, sha: str) -> None:
    """Keep others off a team's list and a content. SQLite's writers are alone anyway."""
    if db.dialect.name == "sqlite":
        return
    db.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"upload {team}"))))  # the team first, always
    db.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"content {sha}"))))


def _room(db: sa.Connection, team: str, new: Listed, quotas: Quotas) -> None:
    count, size = db.execute(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(listing.c.bytes), 0)).where(listing.c.team == team)
    ).one()
    if count >= quotas.uploads_per_team:
        raise Full(f"{count} uploads of yours are kept, and that is the most", hint="DELETE one that is not needed")
    if int(size) + new.bytes > quotas.bytes_per_team:
        raise Full(
            f"{int(size):,} bytes of yours are kept; with this one they would be more than {quotas.bytes_per_team:,}",
            hint="DELETE one that is not needed",
        )
    known = sa.func.coalesce(sa.func.max(sa.case((recorded.c.sha == new.sha, 1), else_=0)), 0)
    total = sa.select(known, sa.func.coalesce(sa.func.sum(recorded.c.bytes), 0)).where(recorded.c.team == team)
    had, before = map(int, db.execute(total).one())
    if not had and before + new.bytes > quotas.recorded_bytes:
        raise Full(
            f"MLflow keeps {before:,} bytes of documents that you posted, deleted ones included; with this one they "
            f"would be more than {quotas.recorded_bytes:,}",
            hint="one that you had before is taken; who runs the service can raise QUERYWRIGHT_LIMIT_RECORDED_BYTES",
        )


def _prepare(db: sa.Connection) -> None:
    if db.dialect.name != "sqlite":
        db.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))  # two may start at once
    metadata.create_all(db)
    # of a database that knew no `recorded`; without a WHERE, SQLite takes ON CONFLICT for a part of the SELECT
    listed = sa.select(listing.c.team, listing.c.sha, listing.c.bytes).where(sa.true())
    db.execute(insert(db, recorded).from_select(["team", "sha", "bytes"], listed).on_conflict_do_nothing())
