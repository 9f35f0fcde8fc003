"""A job that was applied by hand: for tests of what comes after, without what applies it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time as unix_time
from typing import Any

import msgspec

from tests.erasure.plans import KEY, make_plan, planned_artifact, planned_run
from tests.stored import World
from wbgql.erasure.case.case import Case
from wbgql.erasure.case.files import save_case
from wbgql.erasure.ledger import Ledger
from wbgql.erasure.reading.facts import read_run_facts
from wbgql.erasure.reading.server_clocks import ServerClock
from wbgql.erasure.records.actions import Action, subject_of
from wbgql.erasure.records.plan import Clock, PlannedArtifact, PlannedFile, PlannedRun, Server
from wbgql.erasure.verifying.job import Reader
from wbgql.files import iter_files
from wbgql.paths import RunPath
from wbgql.wire.session import Session

START = datetime(2026, 1, 1, tzinfo=UTC)


class Time:
    """The time of a test; it passes while somebody sleeps, or is told to."""

    def __init__(self, start: datetime = START) -> None:
        self.now = start

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def pass_(self, **span: float) -> None:
        self.now += timedelta(**span)


class AppliedJob:
    """Runs of a `World` in a plan, hidden for real and booked so in a ledger.

    `artifacts`: versions by run name; `keep`: those of them that stay. `outcomes`: what became of runs that
    were not hidden.
    """

    def __init__(self, world: World, folder: Path, time: Callable[[], datetime] | None = None) -> None:
        self.world = world
        self.time = time or Time()
        self._folder = folder
        self._planned: list[PlannedRun] = []
        self.ids: set[str] = set()

    def add(
        self,
        name: str,
        *,
        logs: Mapping[str, str] | None = None,
        keeps: Mapping[str, str] | None = None,
        world: World | None = None,
        **fields: Any,
    ) -> None:
        """Plan a run of the world; `logs` and `keeps` are versions (name: id) that go and stay.

        `world`: another one, of the same server.
        """
        artifacts = [self._artifact(name_, id_) for name_, id_ in (logs or {}).items()]
        artifacts += [
            self._artifact(name_, id_, decision="keep", reason="linked")
            for name_, id_ in (keeps or {}).items()
        ]
        project = (world or self.world).project
        facts = read_run_facts(self.world.client.session, RunPath("admin", project, name))
        assert facts is not None
        known = {"storage_id": facts.run.id, "created_at": facts.run.created_at}
        fields = {"project": project, "artifacts": artifacts} | known | fields
        self._planned.append(planned_run(name, **fields))

    def files_of(self, name: str) -> list[PlannedFile]:
        """The files of a run, as a plan has them."""
        path = RunPath("admin", self.world.project, name)
        found = iter_files(self.world.client.session, path)
        return [PlannedFile(id=file.id, name=file.name, size_bytes=file.size_bytes) for file in found]

    def _artifact(self, name: str, artifact_id: str, **fields: Any) -> PlannedArtifact:
        return planned_artifact(artifact_id, 0, **{"name": name, **fields})

    def open(
        self,
        *,
        outcomes: Mapping[str, str | None] | None = None,
        clocks: list[Clock] | None = None,
        database: str | None = None,
        base_url: str | None = None,
    ) -> Case:
        """Write the case, hide its runs, delete what goes, and book each outcome."""
        url = base_url or self.world.client.settings.base_url
        server = Server(base_url=url, deployment="wbgql-local", version=None, is_test=True)
        plan = make_plan(*self._planned, server=server, clocks=clocks or [])
        path = self._folder / "plan.json"
        save_case(path, plan, KEY)
        ledger = Ledger.open(database or f"sqlite:///{self._folder / 'erasure.sqlite'}", now=self.time)
        ledger.create(plan, target="test", body={"plan": plan.digest})
        case = Case(path=path, plan=plan, key=KEY, ledger=ledger)
        self.apply(case, outcomes or {})
        return case

    def apply(self, case: Case, outcomes: Mapping[str, str | None] | None = None) -> None:
        """Do and book what is open in the present round."""
        for action in list(case.ledger.actions(case.job, open_only=True)):
            outcome = (outcomes or {}).get(action.run.id, "done")
            if outcome is None:
                continue
            if outcome == "done":
                case.ledger.intend(case.job, action, _subject(case, action))
                outcome = self._do(action.kind, action.target, action.run.id)
            case.ledger.finish(case.job, action, outcome, None, _subject(case, action))  # type: ignore[arg-type]
        if case.ledger.counts(case.job)["run"].get("open", 0) == 0:
            case.ledger.set_state(case.job, "applied", "applied", {})

    def _do(self, kind: str, target: Any, run_id: str) -> str:
        if kind == "run":
            self.world.caller.ask(_DELETE_RUN, id=target.storage_id)
            return "hidden"
        if kind == "artifact":
            self.world.logger.delete(target.id, aliases=True)
        return "deleted"


def clocked(session: Session) -> Reader:
    """A reader that learns the server's time, as the command's does."""
    clock = ServerClock(unix_time)
    return Reader(session=session.through(clock.watch), clock=clock)


def in_time(reader: Reader, time: Time) -> Reader:
    """The same reader, which waits in a time of its own."""
    return msgspec.structs.replace(
        reader, session=reader.session.through(lambda inner: inner, sleep=time.sleep)
    )


def _subject(case: Case, action: Action) -> str:
    """What the journal calls it: certifying holds the ledger's rows to this."""
    return subject_of(action.target, KEY, case.plan.server.base_url)


_DELETE_RUN = "mutation Delete($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }"
