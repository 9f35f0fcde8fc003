"""Jobs and their actions: made once, changed only in step with the journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, cast

import msgspec
import sqlalchemy as sa

from wbgql.erasure import canonical
from wbgql.erasure.actions import GONE, Action, ActionKind, NewAction, Outcome, make_actions
from wbgql.erasure.journals import GENESIS, Head
from wbgql.erasure.ledger.checks import Checks
from wbgql.erasure.ledger.database import PAGE, JobState
from wbgql.erasure.plans import Plan, PlannedArtifact, PlannedFile, PlannedRun
from wbgql.errors import PlanChanged

_TARGETS: dict[str, msgspec.json.Decoder[Any]] = {
    "run": msgspec.json.Decoder(PlannedRun),
    "artifact": msgspec.json.Decoder(PlannedArtifact),
    "file": msgspec.json.Decoder(PlannedFile),
}
_STAMPS = {"applied": "applied_at", "partial": "applied_at", "verified": "verified_at"}


class Ledger(Checks):
    """One open ledger: jobs, actions, and with its bases the journal, verifications and schedule."""

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
            while rows := [_action_row(plan.plan_id, action) for action in islice(actions, PAGE)]:
                connection.execute(sa.insert(self._tables.actions), rows)
            self._append(connection, plan.plan_id, Head(), "job_created", body)
        return True

    def set_state(self, job: str, state: JobState, kind: str, body: Mapping[str, Any]) -> None:
        """Set a job's state, with the journal entry that says why."""
        values: dict[str, Any] = {"state": state}
        if state in _STAMPS:
            values[_STAMPS[state]] = self._stamp()
        with self._writing() as connection:
            head = self._lock(connection, job)
            self._set(connection, job, values)
            self._append(connection, job, head, kind, body)

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

    def intend(self, job: str, action: Action, subject: str) -> int:
        """Record that a request is about to leave, and return the attempt's number, from 1."""
        table = self._tables.actions
        intent = self._open_row(job, action).values(attempts=table.c.attempts + 1, sent_at=self._stamp())
        with self._writing() as connection:
            head = self._lock(connection, job)
            attempt = int(connection.execute(intent.returning(table.c.attempts)).scalar_one())
            body = {"subject": subject, "action": action.kind, "attempt": attempt}
            self._append(connection, job, head, "intent", body)
        return attempt

    def mark_stopped(self, job: str, action: Action, subject: str) -> bool:
        """Record that a run is about to be told to stop; False where that was recorded before."""
        table = self._tables.actions
        marked = self._open_row(job, action).where(table.c.stopped_at.is_(None))
        with self._writing() as connection:
            head = self._lock(connection, job)
            if connection.execute(marked.values(stopped_at=self._stamp())).rowcount == 0:
                return False
            self._append(connection, job, head, "stop", {"subject": subject})
        return True

    def finish(self, job: str, action: Action, outcome: Outcome, detail: str | None, subject: str) -> bool:
        """Set the outcome of an action, once; False where it had one. `detail` is a code, never a name."""
        table = self._tables.actions
        done = self._open_row(job, action).values(outcome=outcome, detail=detail, done_at=self._stamp())
        with self._writing() as connection:
            head = self._lock(connection, job)
            attempts = connection.execute(done.returning(table.c.attempts)).scalar()
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

        Returns the round's number. What is gone for good (artifact versions, files) is not named again.
        """
        table = self._tables.actions
        which = table.c.run_no.in_(list(run_nos))
        again = sa.or_(table.c.action_no == 0, table.c.outcome.not_in(GONE))
        return self._open_round(job, sa.and_(which, again), "reopened", "reopened", body)

    def retry(self, job: str, body: Mapping[str, Any]) -> int:
        """Open a new round for everything that has not gone. Returns its number."""
        return self._open_round(job, self._tables.actions.c.outcome.not_in(GONE), "applying", "retried", body)

    def destroy(self, job: str, body: Mapping[str, Any]) -> None:
        """Remove every row that holds run ids, record that, and leave nothing of them in the file.

        The journal, the verifications and the job's own row stay: they name runs by keyed hashes only.
        """
        with self._writing() as connection:
            head = self._lock(connection, job)
            connection.execute(sa.delete(self._tables.actions).where(self._tables.actions.c.job == job))
            self._set(connection, job, {"state": "closed", "frame": None})
            self._append(connection, job, head, "closed", body)
        if self.engine.dialect.name == "sqlite":
            # Deleted rows are overwritten (secure_delete); old pages may stand in the write-ahead log.
            self._checkpoint()

    def _checkpoint(self) -> None:
        with self._reading() as connection:
            raw = connection.connection.dbapi_connection
            assert raw is not None
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

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

    def _open_row(self, job: str, action: Action) -> sa.Update:
        """An update of one action of the present round, which does nothing where it has an outcome."""
        table = self._tables.actions
        return sa.update(table).where(
            table.c.job == job,
            table.c.round == self._present_round(job),
            table.c.run_no == action.run_no,
            table.c.action_no == action.action_no,
            table.c.outcome.is_(None),
        )

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
        own_run = sa.and_(hide.c.job == table.c.job, hide.c.run_no == table.c.run_no, hide.c.action_no == 0)
        query = (
            sa.select(table, hide.c.target.label("run"), hide.c.outcome.label("run_outcome"))
            .select_from(table)
            .join(hide, sa.and_(own_run, hide.c.round == last_hide))
            .where(table.c.job == job, *wanted)
            .order_by(*order)
            .limit(PAGE)
        )
        with self._reading() as connection:
            return [_to_action(row) for row in connection.execute(query)]

    def _open_round(self, job: str, wanted: Any, state: JobState, kind: str, body: Mapping[str, Any]) -> int:
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
            ).where(table.c.job == job, table.c.round == self._last_round(), wanted)
            names = ["job", "round", "run_no", "action_no", "number", "kind", "target", "attempts"]
            connection.execute(sa.insert(table).from_select(names, again))
            self._set(connection, job, {"round": number, "state": state})
            self._append(connection, job, head, kind, body)
        return number


def _kind_place(table: sa.Table) -> Any:
    """Rows of several rounds have numbers of their own: the kind decides first."""
    return sa.case({"run": 0, "artifact": 1, "file": 2}, value=table.c.kind)


def _action_row(job: str, action: NewAction) -> dict[str, Any]:
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


def _to_action(row: Any) -> Action:
    kind = cast("ActionKind", row.kind)
    return Action(
        number=row.number,
        run_no=row.run_no,
        action_no=row.action_no,
        kind=kind,
        target=_TARGETS[kind].decode(row.target),
        run=_TARGETS["run"].decode(row.run),
        run_outcome=row.run_outcome,
        attempts=row.attempts,
        sent_at=row.sent_at,
        stopped_at=row.stopped_at,
        outcome=row.outcome,
        detail=row.detail,
        done_at=row.done_at,
    )
