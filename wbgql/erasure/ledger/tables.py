"""The ledger's tables, and the engine that opens them: SQLite in one file, or PostgreSQL by URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from wbgql.errors import ConfigError

SCHEMA = "wbgql"

_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "busy_timeout=30000",
    "foreign_keys=ON",
    "secure_delete=ON",
)


class Tables:
    """The tables, in a schema of their own where the database has schemas."""

    def __init__(self, schema: str | None) -> None:
        self.metadata = metadata = sa.MetaData(schema=schema)
        self.jobs = sa.Table(
            "jobs",
            metadata,
            sa.Column("job", sa.Text, primary_key=True),
            sa.Column("digest", sa.Text, nullable=False),
            sa.Column("target", sa.Text, nullable=False),
            sa.Column("state", sa.Text, nullable=False),
            sa.Column("created_at", sa.Text, nullable=False),
            sa.Column("frame", sa.Text),  # the plan without its runs; null once the case is closed
            sa.Column("head_seq", sa.Integer, nullable=False),
            sa.Column("head_hash", sa.Text, nullable=False),
            sa.Column("round", sa.Integer, nullable=False, default=1),
            sa.Column("generation", sa.Integer, nullable=False, default=0),
            sa.Column("stop_requested", sa.Boolean, nullable=False, default=False),
            sa.Column("applied_at", sa.Text),
            sa.Column("verified_at", sa.Text),
        )
        self.actions = sa.Table(
            "actions",
            metadata,
            sa.Column("job", sa.Text, primary_key=True),
            sa.Column("round", sa.Integer, primary_key=True),
            sa.Column("run_no", sa.Integer, primary_key=True),
            sa.Column("action_no", sa.Integer, primary_key=True),
            sa.Column("number", sa.Integer, nullable=False),
            sa.Column("kind", sa.Text, nullable=False),
            sa.Column("target", sa.Text, nullable=False),
            sa.Column("attempts", sa.Integer, nullable=False, default=0),
            sa.Column("sent_at", sa.Text),
            sa.Column("stopped_at", sa.Text),
            sa.Column("tags", sa.Text),  # of a run, when its deletion was sent, with their seal (`run_tags`)
            sa.Column("owner", sa.Text),  # who may work on it now; whoever was it before is shut out
            sa.Column("outcome", sa.Text),
            sa.Column("detail", sa.Text),
            sa.Column("done_at", sa.Text),
        )
        sa.Index("actions_in_order", self.actions.c.job, self.actions.c.round, self.actions.c.number)
        # Finds the last round of one action: the primary key has the round before the run.
        sa.Index(
            "actions_by_run",
            self.actions.c.job,
            self.actions.c.run_no,
            self.actions.c.action_no,
            self.actions.c.round,
        )
        self.batches = sa.Table(
            "batches",
            metadata,
            sa.Column("job", sa.Text, primary_key=True),
            sa.Column("generation", sa.Integer, primary_key=True),
            sa.Column("lo", sa.Integer, primary_key=True),
            sa.Column("starts", sa.Integer, nullable=False),
        )
        self.locks = sa.Table(
            "locks",
            metadata,
            sa.Column("target", sa.Text, primary_key=True),
            sa.Column("job", sa.Text, nullable=False),
            sa.Column("taken_at", sa.Text, nullable=False),
        )
        self.journal = sa.Table(
            "journal",
            metadata,
            sa.Column("job", sa.Text, primary_key=True),
            sa.Column("seq", sa.Integer, primary_key=True),
            sa.Column("at", sa.Text, nullable=False),
            sa.Column("kind", sa.Text, nullable=False),
            sa.Column("body", sa.Text, nullable=False),
            sa.Column("prev", sa.Text, nullable=False),
            sa.Column("hash", sa.Text, nullable=False),
        )
        self.verifications = sa.Table(
            "verifications",
            metadata,
            sa.Column("job", sa.Text, primary_key=True),
            sa.Column("no", sa.Integer, primary_key=True),
            sa.Column("at", sa.Text, nullable=False),
            sa.Column("kind", sa.Text, nullable=False),
            sa.Column("verdict", sa.Text, nullable=False),
            sa.Column("results", sa.Text, nullable=False),
        )
        self.schedule = sa.Table(
            "schedule",
            metadata,
            sa.Column("job", sa.Text, primary_key=True),
            sa.Column("due_at", sa.Text, primary_key=True),
            sa.Column("kind", sa.Text, primary_key=True),
            sa.Column("done_at", sa.Text),
        )


def make_engine(url: str) -> sa.Engine:
    """Return an engine for a database URL. Nothing is opened yet.

    SQLite keeps a write-ahead log, waits for locks, syncs every commit to the disk and overwrites what it
    deletes. Parameters never stand in error messages: they hold run ids.

    Raises:
        ConfigError: not such a URL, or a database of another kind.
    """
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError as error:
        raise ConfigError(
            "the database URL cannot be read: give sqlite:///FILE or postgresql://USER@HOST/NAME"
        ) from error
    kind = parsed.drivername.partition("+")[0]
    if kind in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
        return sa.create_engine(parsed, hide_parameters=True, pool_size=20, pool_pre_ping=True)
    if kind != "sqlite":
        raise ConfigError(f"no database of kind {kind!r}: give sqlite:///FILE or postgresql://USER@HOST/NAME")
    if parsed.database in (None, "", ":memory:"):
        raise ConfigError("a ledger in memory would not outlive a crash: give sqlite:///FILE")
    engine = sa.create_engine(parsed, hide_parameters=True, pool_size=20, max_overflow=20)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def database_file(url: str) -> Path | None:
    """The file of an SQLite URL, None for PostgreSQL."""
    parsed = make_url(url)
    return Path(parsed.database or "") if parsed.drivername.startswith("sqlite") else None


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # Left alone, the driver begins transactions late, and a reader that turns writer fails at once.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    begin = "BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN"
    connection.exec_driver_sql(begin)
