"""Many runs at once, written straight into a local server's store through the server's own functions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from wbgql.server.accounts import Viewer
from wbgql.server.backend import Backend, Context
from wbgql.server.lifecycle import filestream
from wbgql.server.projects import rows as projects
from wbgql.server.runs import history, lines
from wbgql.server.runs import values as run_values
from wbgql.server.settings import ServerSettings
from wbgql.server.store.database import Connection, Row, row
from wbgql.server.store.times import to_text

FIRST_INSTANT = datetime(2026, 1, 1, tzinfo=UTC)
STATES = ("finished", "crashed", "failed", "killed")
_BATCH = 5000


@dataclass
class BulkRun:
    """One run to write. `config` and `summary` are plain values, or the text to store as the SDK sent it."""

    name: str
    display_name: str | None = None
    state: str = "finished"
    tags: Sequence[str] = ()
    created_at: datetime = FIRST_INSTANT
    heartbeat_at: datetime | None = None
    group: str | None = None
    job_type: str | None = None
    sweep: str | None = None
    host: str | None = None
    notes: str | None = None
    config: Mapping[str, Any] | str = field(default_factory=dict)
    summary: Mapping[str, Any] | str = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    events: Sequence[Mapping[str, Any]] = ()
    console: Sequence[str] = ()


def make_run(number: int) -> BulkRun:
    """The run that `load_runs` writes at `number` unless told otherwise: the same at every call.

    Created one second after the one before it; `summary.acc` runs through 997 values, `config.lr`
    through four, `tags` are none, one or two.
    """
    return BulkRun(
        name=f"run{number:06d}",
        display_name=f"name-{number}",
        state=STATES[number % 7 % 4],
        tags=("baseline", "sweep")[: number % 3],
        created_at=FIRST_INSTANT + timedelta(seconds=number),
        group=f"group-{number % 10}",
        job_type="train" if number % 2 else "eval",
        host=f"node-{number % 5}",
        config={"lr": 10.0 ** -(1 + number % 4), "model": {"layers": number % 50}, "seed": number},
        summary={"acc": number * 7919 % 997 / 997, "val/loss": 1.0 / (1 + number), "_step": number % 1000},
    )


def load_runs(
    data: Path,
    project: str,
    count: int = 20_000,
    *,
    make: Callable[[int], BulkRun] = make_run,
    start: int = 0,
    entity: str = "admin",
) -> list[str]:
    """Write `count` runs made by `make(start)`, `make(start + 1)`, ... and return their ids.

    About 20,000 small runs a second. `data` is the folder of a server that runs or ran there
    (`RunningServer.data`); the project is made if it is missing.
    """
    return write_runs(data, project, (make(number) for number in range(start, start + count)), entity=entity)


def write_runs(data: Path, project: str, runs: Iterable[BulkRun], *, entity: str = "admin") -> list[str]:
    """Write these runs and return their ids. A run of that id must not be there yet."""
    backend = Backend(ServerSettings(data=data))
    names: list[str] = []
    waiting = iter(runs)
    try:
        while batch := list(islice(waiting, _BATCH)):
            with backend.store.write() as db:
                context = Context(backend, _viewer(db, entity), "", db)
                found, _ = projects.find_or_create(context, db, entity, project)
                _insert(db, found["pk"], context.viewer, batch)
            names += [run.name for run in batch]
    finally:
        backend.close()
    return names


def delete_runs(data: Path, project: str, names: Sequence[str], *, entity: str = "admin") -> None:
    """Mark runs as deleted, as the server does, without its audit log."""
    backend = Backend(ServerSettings(data=data))
    try:
        with backend.store.write() as db:
            pk = db.execute(
                "SELECT projects.id FROM projects JOIN entities ON entities.id = entity_id"
                " WHERE entities.name = ? AND projects.name = ?",
                (entity, project),
            ).get
            db.executemany(
                "UPDATE runs SET deleted_at = ? WHERE project_id = ? AND name = ?",
                ((backend.now(), pk, name) for name in names),
            )
    finally:
        backend.close()


def _viewer(db: Connection, entity: str) -> Viewer:
    """The first admin, in whose name everything is written."""
    found: Row | None = row(db, "SELECT * FROM users WHERE admin = 1 ORDER BY id LIMIT 1")
    assert found is not None, f"no admin in the store of {entity!r}: start a server there first"
    names = ("username", "name", "email", "entity_id", "created_at")
    fields = {name: found[name] for name in names}
    return Viewer(user_id=found["id"], admin=True, default_entity_id=found["entity_id"], **fields)


def _insert(db: Connection, project_pk: int, viewer: Viewer, batch: Sequence[BulkRun]) -> None:
    first = int(db.execute("SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'runs'").get)
    parsed = [(_parse(run.config, _wrap), _parse(run.summary, dict)) for run in batch]
    db.executemany(
        "INSERT INTO runs (id, project_id, name, display_name, state, tags, created_at, heartbeat_at,"
        " updated_at, run_group, job_type, user_id, username, sweep_name, host, duration, notes,"
        " config_values, summary_values)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, jsonb(?), jsonb(?))",
        (
            (
                pk,
                project_pk,
                run.name,
                run.display_name or run.name,
                run.state,
                json.dumps(list(run.tags), ensure_ascii=False),
                to_text(run.created_at),
                to_text(run.heartbeat_at or run.created_at),
                to_text(run.heartbeat_at or run.created_at),
                run.group,
                run.job_type,
                viewer.user_id,
                viewer.username,
                run.sweep,
                run.host,
                run_values.runtime_s(summary),
                run.notes,
                run_values.config_values(config),
                run_values.summary_values(summary),
            )
            for pk, run, ((config, _), (summary, _)) in zip(
                range(first, first + len(batch)), batch, parsed, strict=True
            )
        ),
    )
    db.executemany(
        "INSERT INTO run_texts (run_id, config, summary) VALUES (?, ?, ?)",
        ((pk, config, summary) for pk, ((_, config), (_, summary)) in enumerate(parsed, first)),
    )
    for pk, run in enumerate(batch, first):
        _write_lines(db, pk, run)


def _write_lines(db: Connection, pk: int, run: BulkRun) -> None:
    if run.history:
        rows = [json.dumps(logged) for logged in run.history]
        lines.write(db, pk, lines.HISTORY, 0, 0, rows)
        history.update_keys(db, pk, 0, rows, overwrites=False)
    if run.events:
        rows = [json.dumps(event) for event in run.events]
        lines.write(db, pk, lines.EVENTS, 0, 0, rows)
        filestream._merge_system_metrics(db, pk, rows)
    if run.console:
        lines.write(db, pk, lines.CONSOLE, 0, 0, list(run.console))


def _wrap(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: {"value": value} for key, value in config.items()}


def _parse(
    values: Mapping[str, Any] | str, prepare: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> tuple[dict[str, Any], str]:
    """The object and its text as the SDK sends it; numbers that are not finite stay bare NaN."""
    if isinstance(values, str):
        return run_values.parse_object(values, "bulk run"), values
    whole = prepare(values)
    return whole, json.dumps(whole, ensure_ascii=False)
