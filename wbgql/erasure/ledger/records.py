"""Actions: made once with their job, changed only in step with the journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec
import sqlalchemy as sa

from wbgql.erasure.ledger.checks import Checks
from wbgql.erasure.ledger.database import PAGE, JobState, storing
from wbgql.erasure.records import canonical
from wbgql.erasure.records.actions import GONE, Action, ActionKind, NewAction, Outcome, RunTags, make_actions
from wbgql.erasure.records.journal import GENESIS, Head
from wbgql.erasure.records.plan import Plan, PlannedArtifact, PlannedFile, PlannedRun
from wbgql.errors import Locked, PlanChanged, StoreError

# Actions as rows of the ledger.

_TARGETS: dict[str, msgspec.json.Decoder[Any]] = {
    "run": msgspec.json.Decoder(PlannedRun),
    "artifact": msgspec.json.Decoder(PlannedArtifact),
    "file": msgspec.json.Decoder(PlannedFile),
}


_TAGS = msgspec.json.Decoder(RunTags | list[str])
"""A plain list is what earlier versions wrote: nothing shows who wrote it, so it counts as not read."""


class _Row(msgspec.Struct, frozen=True):
    """The plain columns of an action. SQLite keeps what it is given, of any type."""

    number: int
    run_no: int
    action_no: int
    kind: ActionKind
    attempts: int
    earlier_attempts: int
    run_outcome: Outcome | None
    outcome: Outcome | None
    run_tags: str | None
    sent_at: str | None
    stopped_at: str | None
    detail: str | None
    done_at: str | None


def action_row(job: str, action: NewAction) -> dict[str, Any]:
    """Write a new action, of the first round."""
    return {
        "job": job,
        "round": 1,
        "run_no": action.run_no,
        "action_no": action.action_no,
        "number": action.number,
        "kind": action.kind,
        "target": canonical.encode(action.target).decode(),
        "attempts": 0,
    }


def to_action(row: Any) -> Action:
    """Read a row that was joined with its run's.

    Raises:
        StoreError: it holds no action.
    """
    try:
        return _decode_action(row)
    except (msgspec.DecodeError, TypeError) as error:
        raise StoreError(
            f"the ledger is damaged: its row for action {row.action_no!r} of run index {row.run_no!r} is no "
            "action; nothing more is sent"
        ) from error


def _decode_action(row: Any) -> Action:
    plain = msgspec.convert(row, _Row, from_attributes=True)
    return Action(
        number=plain.number,
        run_no=plain.run_no,
        action_no=plain.action_no,
        kind=plain.kind,
        target=_TARGETS[plain.kind].decode(row.target),
        run=_TARGETS["run"].decode(row.run),
        run_outcome=plain.run_outcome,
        run_tags=_decode_tags(plain.run_tags),
        attempts=plain.attempts,
        earlier_attempts=plain.earlier_attempts,
        sent_at=plain.sent_at,
        stopped_at=plain.stopped_at,
        outcome=plain.outcome,
        detail=plain.detail,
        done_at=plain.done_at,
    )


def _decode_tags(text: str | None) -> RunTags | None:
    found = None if text is None else _TAGS.decode(text)
    return found if isinstance(found, RunTags) else None


# A job's own row: its state, whether it is to stop, its end.

_STAMPS = {"applied": "applied_at", "partial": "applied_at", "verified": "verified_at"}


class Jobs(Checks):
    """A ledger's jobs, as wholes."""

    def set_state(
        self,
        job: str,
        state: JobState,
        kind: str,
        body: Mapping[str, Any],
        *,
        only_from: Sequence[JobState] = (),
    ) -> bool:
        """Set a job's state, with the journal entry that says why.

        With `only_from`, False where it is in another state already: somebody else was first.
        """
        values: dict[str, Any] = {"state": state}
        if state in _STAMPS:
            values[_STAMPS[state]] = self._stamp()
        with self._writing() as connection:
            head = self._lock(connection, job)
            row = self._row(connection, job)
            if only_from and row.state not in only_from:
                return False
            self._set(connection, job, values)
            self._append(connection, job, head, kind, body)
        return True

    def request_stop(self, job: str, *, wanted: bool = True) -> None:
        """Ask whoever works on a job to stop between two items, or take that back."""
        with self._writing() as connection:
            self._set(connection, job, {"stop_requested": wanted})

    def stop_requested(self, job: str) -> bool:
        """Whether somebody asked the job to stop."""
        jobs = self._tables.jobs
        with self._reading() as connection:
            query = sa.select(jobs.c.stop_requested).where(jobs.c.job == job)
            return bool(connection.execute(query).scalar())

    def next_generation(self, job: str) -> int:
        """Count one more resume and return its number."""
        jobs = self._tables.jobs
        bumped = sa.update(jobs).where(jobs.c.job == job).values(generation=jobs.c.generation + 1)
        with self._writing() as connection:
            return int(connection.execute(bumped.returning(jobs.c.generation)).scalar_one())

    def destroy(self, job: str, body: Mapping[str, Any]) -> bool:
        """Remove every row that holds run ids and record that; whether nothing of them is left in the file.

        The journal, the verifications and the job's own row stay: they name runs by keyed hashes only.
        """
        with self._writing() as connection:
            head = self._lock(connection, job)
            connection.execute(sa.delete(self._tables.actions).where(self._tables.actions.c.job == job))
            self._set(connection, job, {"state": "closed", "frame": None})
            self._append(connection, job, head, "closed", body)
        return self.scrub()

    def scrub(self) -> bool:
        """Overwrite what deleted rows left, as far as the database lets one; whether nothing is left.

        SQLite overwrites deleted rows (secure_delete), and its write-ahead log is emptied where nobody reads.
        PostgreSQL only frees their space: old pages, its own log and copies of both are its keeper's.
        """
        if self.engine.dialect.name == "sqlite":
            with self._reading() as connection:
                raw = connection.connection.dbapi_connection
                assert raw is not None
                busy, *_ = raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                return not busy
        with storing(), self.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(sa.text(f"VACUUM {self._tables.actions.fullname}"))
        return False


class Ledger(Jobs):
    """One open ledger: jobs, actions, and with its bases the journal, verifications and schedule."""

    def __init__(self, *parts: Any, **options: Any) -> None:
        super().__init__(*parts, **options)
        table = self._tables.actions
        intent = {"attempts": table.c.attempts + 1, "sent_at": sa.bindparam("at")}
        ending: dict[str, Any] = {
            "outcome": sa.bindparam("word"),
            "detail": sa.bindparam("why"),
            "done_at": sa.bindparam("at"),
        }
        self._intend = self._open_row().values(**intent).returning(table.c.attempts)
        self._intend_with_tags = self._intend.values(tags=sa.bindparam("seen"))
        self._finish = self._open_row().values(**ending).returning(table.c.attempts)
        self._mark_stopped = self._open_row().where(table.c.stopped_at.is_(None))

    def create(self, plan: Plan, *, target: str, body: Mapping[str, Any]) -> bool:
        """Make the job of a plan, its actions and its first journal entry; False where it is there already.

        Raises:
            PlanChanged: a job of this id stands for another plan.
        """
        with self._writing() as connection:
            found = self._row(connection, plan.plan_id, lock=True)
            if found is not None:
                if found.digest != plan.digest:
                    raise PlanChanged(
                        f"job {plan.plan_id!r} was made from plan {found.digest}, not from this one; "
                        "nothing was done"
                    )
                return False
            connection.execute(sa.insert(self._tables.jobs), self._job_row(plan, target))
            actions = make_actions(plan)
            while rows := [action_row(plan.plan_id, action) for action in islice(actions, PAGE)]:
                connection.execute(sa.insert(self._tables.actions), rows)
            self._append(connection, plan.plan_id, Head(), "job_created", body)
        self._measure()
        return True

    def actions(
        self, job: str, lo: int = 0, hi: int | None = None, *, open_only: bool = False
    ) -> Iterator[Action]:
        """Yield the actions `lo <= number < hi` of the job's present round, in order. Streams in pages."""
        table = self._tables.actions
        while True:
            wanted = [table.c.number >= lo, table.c.round == self._present_round(job)]
            if hi is not None:
                wanted.append(table.c.number < hi)
            if open_only:
                wanted.append(table.c.outcome.is_(None))
            page = self._page(job, wanted, table.c.number)
            yield from page
            if len(page) < PAGE:
                return
            lo = page[-1].number + 1

    def latest(self, job: str) -> Iterator[Action]:
        """Yield every action as it stands, by run and place: of each, the row of its last round. Streams."""
        table = self._tables.actions
        run_no, action_no = -1, 0
        while True:
            # Spelt out, not as a row value: SQLite would not use its index for that.
            later = sa.or_(
                table.c.run_no > run_no, sa.and_(table.c.run_no == run_no, table.c.action_no > action_no)
            )
            wanted = [table.c.run_no >= run_no, later, table.c.round == self._last_round()]
            page = self._page(job, wanted, table.c.run_no, table.c.action_no)
            yield from page
            if len(page) < PAGE:
                return
            run_no, action_no = page[-1].run_no, page[-1].action_no

    def claim(self, job: str, generation: int, lo: int, hi: int, owner: str) -> int:
        """Make `owner` the only one who may work on a range; how often it was claimed in this generation.

        Whoever had it before, and does not know yet that it was taken for dead, is shut out: `intend`,
        `mark_stopped` and `finish` refuse an owner that is not the present one.
        """
        actions, batches = self._tables.actions, self._tables.batches
        ours = sa.and_(batches.c.job == job, batches.c.generation == generation, batches.c.lo == lo)
        with self._writing() as connection:
            self._lock(connection, job)
            taken = sa.update(actions).where(
                actions.c.job == job,
                actions.c.round == self._present_round(job),
                actions.c.number >= lo,
                actions.c.number < hi,
                actions.c.outcome.is_(None),
            )
            connection.execute(taken.values(owner=owner))
            again = sa.update(batches).where(ours).values(starts=batches.c.starts + 1)
            starts = connection.execute(again.returning(batches.c.starts)).scalar()
            if starts is None:
                row = {"job": job, "generation": generation, "lo": lo, "starts": 1}
                connection.execute(sa.insert(batches), row)
        return int(starts or 1)

    def intend(
        self,
        job: str,
        action: Action,
        subject: str,
        *,
        owner: str | None = None,
        tags: RunTags | None = None,
    ) -> int:
        """Record that a request is about to leave, and return the attempt's number, from 1.

        `tags`: those the run carries now; the journal gets their seal.

        Raises:
            Locked: the action has an outcome, or another worker took it over; nothing may be sent.
        """
        given = _which(job, action, owner) | {"at": self._stamp()}
        if tags is not None:
            given["seen"] = canonical.encode(tags).decode()
        intent = self._intend if tags is None else self._intend_with_tags
        with self._writing() as connection:
            head = self._lock(connection, job)
            attempt: int | None = connection.execute(intent, given).scalar()
            if attempt is None:
                raise Locked("another worker took this over; nothing was sent")
            body: dict[str, Any] = {"subject": subject, "action": action.kind, "attempt": attempt}
            if tags is not None:
                body["tags"] = tags.seal
            self._append(connection, job, head, "intent", body)
        return attempt

    def mark_stopped(self, job: str, action: Action, subject: str, *, owner: str | None = None) -> bool:
        """Record that a run is about to be told to stop; False where that was recorded before."""
        marked = self._mark_stopped.values(stopped_at=self._stamp())
        with self._writing() as connection:
            head = self._lock(connection, job)
            if connection.execute(marked, _which(job, action, owner)).rowcount == 0:
                return False
            self._append(connection, job, head, "stop", {"subject": subject})
        return True

    def finish(
        self,
        job: str,
        action: Action,
        outcome: Outcome,
        detail: str | None,
        subject: str,
        *,
        owner: str | None = None,
    ) -> bool:
        """Set the outcome of an action, once; False where it had one, or another worker took it over.

        `detail` is a code, never a name.
        """
        given = _which(job, action, owner) | {"word": outcome, "why": detail, "at": self._stamp()}
        with self._writing() as connection:
            head = self._lock(connection, job)
            attempts = connection.execute(self._finish, given).scalar()
            if attempts is None:
                return False
            body = {
                "subject": subject,
                "action": action.kind,
                "outcome": outcome,
                "detail": detail,
                "attempts": attempts,
            }
            self._append(connection, job, head, "outcome", body)
        return True

    def counts(self, job: str) -> dict[ActionKind, dict[str, int]]:
        """How many actions of each kind came to each outcome, as things stand; "open" for none yet."""
        table = self._tables.actions
        query = (
            sa.select(table.c.kind, table.c.outcome, sa.func.count())
            .where(table.c.job == job, table.c.round == self._last_round())
            .group_by(table.c.kind, table.c.outcome)
        )
        counts: dict[ActionKind, dict[str, int]] = {}
        with self._reading() as connection:
            for kind, outcome, number in connection.execute(query):
                counts.setdefault(kind, {})[outcome or "open"] = number
        return counts

    def touched(self, job: str) -> int:
        """How many runs a deletion was sent for, or may have been, in any round."""
        table = self._tables.actions
        query = sa.select(sa.func.count()).where(
            table.c.job == job, table.c.action_no == 0, table.c.attempts > 0
        )
        with self._reading() as connection:
            return int(connection.execute(query).scalar_one())

    def runs(self, job: str, run_nos: Sequence[int]) -> list[Action]:
        """Some runs by their numbers, in order, each with what became of it as things stand."""
        table = self._tables.actions
        numbers = sorted(set(run_nos))
        found: list[Action] = []
        for start in range(0, len(numbers), PAGE):
            these = table.c.run_no.in_(numbers[start : start + PAGE])
            wanted = [table.c.action_no == 0, these, table.c.round == self._last_round()]
            found += self._page(job, wanted, table.c.run_no)
        return found

    def ranges(self, job: str) -> dict[ActionKind, tuple[int, int, int]]:
        """Of each kind in the present round: its first number, one past its last, and how many are open."""
        table = self._tables.actions
        is_open = sa.case((table.c.outcome.is_(None), 1), else_=0)
        first, last = sa.func.min(table.c.number), sa.func.max(table.c.number)
        query = (
            sa.select(table.c.kind, first, last + 1, sa.func.sum(is_open))
            .where(table.c.job == job, table.c.round == self._present_round(job))
            .group_by(table.c.kind)
        )
        with self._reading() as connection:
            return {kind: (lo, hi, int(left)) for kind, lo, hi, left in connection.execute(query)}

    def reopen(self, job: str, run_nos: Sequence[int], body: Mapping[str, Any]) -> int:
        """Open a new round for runs that came back: to be hidden again, with what of them is not gone.

        Returns the round's number. What is gone for good (artifact versions, files) is not named again. The
        tags that a run carried before it came back say nothing any more.
        """
        table = self._tables.actions
        which = table.c.run_no.in_(list(run_nos))
        again = sa.or_(table.c.action_no == 0, table.c.outcome.not_in(GONE))
        return self._open_round(job, sa.and_(which, again), "reopened", "reopened", body, tags=sa.null())

    def retry(self, job: str, body: Mapping[str, Any]) -> int:
        """Open a new round for everything that has not gone. Returns its number."""
        table = self._tables.actions
        return self._open_round(
            job, table.c.outcome.not_in(GONE), "applying", "retried", body, tags=table.c.tags
        )

    def _job_row(self, plan: Plan, target: str) -> dict[str, Any]:
        frame = msgspec.structs.replace(plan, runs=[], excluded=[])
        return {
            "job": plan.plan_id,
            "digest": plan.digest,
            "target": target,
            "state": "applying",
            "created_at": self._stamp(),
            "frame": canonical.encode(frame).decode(),
            "head_seq": 0,
            "head_hash": GENESIS,
        }

    def _open_row(self) -> sa.Update:
        """An update of one action of the present round, which does nothing where it has an outcome.

        Nor where `by` names a worker that is not its owner any more.
        """
        table = self._tables.actions
        jobs = self._tables.jobs
        job: sa.BindParameter[str] = sa.bindparam("of_job")
        by: sa.BindParameter[str | None] = sa.bindparam("by", type_=sa.Text)
        present = sa.select(jobs.c.round).where(jobs.c.job == job).scalar_subquery()
        return sa.update(table).where(
            table.c.job == job,
            table.c.round == present,
            table.c.run_no == sa.bindparam("of_run"),
            table.c.action_no == sa.bindparam("of_action"),
            table.c.outcome.is_(None),
            sa.or_(by.is_(None), table.c.owner == by),
        )

    def _measure(self) -> None:
        """Let SQLite count its rows: without, it joins actions to their runs by trying them all."""
        if self.engine.dialect.name == "sqlite":
            with self._writing() as connection:
                connection.exec_driver_sql("ANALYZE")

    def _present_round(self, job: str) -> Any:
        jobs = self._tables.jobs
        return sa.select(jobs.c.round).where(jobs.c.job == job).scalar_subquery()

    def _last_round(self) -> Any:
        """Of each action, the last round that names it."""
        table, other = self._tables.actions, self._tables.actions.alias("other")
        return (
            sa.select(sa.func.max(other.c.round))
            .where(
                other.c.job == table.c.job,
                other.c.run_no == table.c.run_no,
                other.c.action_no == table.c.action_no,
            )
            .correlate(table)
            .scalar_subquery()
        )

    def _page(self, job: str, wanted: Sequence[Any], *order: Any) -> list[Action]:
        """Up to a page of actions, each with its run and what became of that in its own last round."""
        table, hide = self._tables.actions, self._tables.actions.alias("hide")
        newer = self._tables.actions.alias("newer")
        last_hide = (
            sa.select(sa.func.max(newer.c.round))
            .where(newer.c.job == hide.c.job, newer.c.run_no == hide.c.run_no, newer.c.action_no == 0)
            .correlate(hide)
            .scalar_subquery()
        )
        before = self._tables.actions.alias("before")
        earlier = (
            sa.select(sa.func.coalesce(sa.func.sum(before.c.attempts), 0))
            .where(
                before.c.job == table.c.job,
                before.c.run_no == table.c.run_no,
                before.c.action_no == table.c.action_no,
                before.c.round < table.c.round,
            )
            .correlate(table)
            .scalar_subquery()
        )
        own_run = sa.and_(hide.c.job == table.c.job, hide.c.run_no == table.c.run_no, hide.c.action_no == 0)
        query = (
            sa.select(
                table,
                hide.c.target.label("run"),
                hide.c.outcome.label("run_outcome"),
                hide.c.tags.label("run_tags"),
                earlier.label("earlier_attempts"),
            )
            .select_from(table)
            .join(hide, sa.and_(own_run, hide.c.round == last_hide))
            .where(table.c.job == job, *wanted)
            .order_by(*order)
            .limit(PAGE)
        )
        with self._reading() as connection:
            return [to_action(row) for row in connection.execute(query)]

    def _open_round(
        self, job: str, wanted: Any, state: JobState, kind: str, body: Mapping[str, Any], *, tags: Any
    ) -> int:
        table = self._tables.actions
        with self._writing() as connection:
            head = self._lock(connection, job)
            number = int(connection.execute(sa.select(self._present_round(job))).scalar_one()) + 1
            place = sa.func.row_number().over(order_by=(_kind_place(table), table.c.number)) - 1
            again = sa.select(
                table.c.job,
                sa.literal(number),
                table.c.run_no,
                table.c.action_no,
                place,
                table.c.kind,
                table.c.target,
                sa.literal(0),
                tags,
            ).where(table.c.job == job, table.c.round == self._last_round(), wanted)
            names = ["job", "round", "run_no", "action_no", "number", "kind", "target", "attempts", "tags"]
            connection.execute(sa.insert(table).from_select(names, again))
            self._set(connection, job, {"round": number, "state": state})
            self._append(connection, job, head, kind, body)
        return number


def _which(job: str, action: Action, owner: str | None) -> dict[str, Any]:
    """What `_open_row` is filled in with."""
    return {"of_job": job, "of_run": action.run_no, "of_action": action.action_no, "by": owner}


def _kind_place(table: sa.Table) -> Any:
    """Rows of several rounds have numbers of their own: the kind decides first."""
    return sa.case({"run": 0, "artifact": 1, "file": 2}, value=table.c.kind)
