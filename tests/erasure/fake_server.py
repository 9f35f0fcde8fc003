"""A server in memory that knows what a job asks of it, for many runs and for measuring. No network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.erasure.plans import KEY, make_plan, planned_run
from wbgql.client import Client
from wbgql.documents import Prepared
from wbgql.erasure.case.case import Case
from wbgql.erasure.ledger import Ledger
from wbgql.erasure.reading.facts import RunFacts, RunState
from wbgql.erasure.reading.fingerprints import fingerprint
from wbgql.erasure.records.plan import PlannedRun, Server
from wbgql.paths import RunPath
from wbgql.safety.holds import HoldRegister
from wbgql.settings import Settings
from wbgql.wire.session import Session
from wbgql.wire.transport import Reply

URL = "http://127.0.0.1:1"
_CREATED = "2026-01-01T00:00:00Z"
_PAGE = {"hasNextPage": False, "endCursor": None}


class FakeServer:
    """One project of so many runs, and one that stays. `hidden` are the storage ids of those that went."""

    def __init__(self, runs: int) -> None:
        self.names = [f"run{number:06}" for number in range(runs)]
        self.hidden: set[str] = set()
        self.deletions = 0

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        answer = getattr(self, f"_{prepared.name}")(variables)
        return Reply(data=msgspec.Raw(json.dumps(answer).encode()))

    def close(self) -> None:
        """Nothing is open."""

    def _GetRights(self, _given: Mapping[str, Any]) -> Any:
        return {"viewer": {"username": "admin", "admin": True}, "entity": None}

    def _GetRetention(self, _given: Mapping[str, Any]) -> Any:
        return {"serverInfo": None}

    def _GetRunFacts(self, given: Mapping[str, Any]) -> Any:
        run = self._run(given["run"])
        if run is not None:
            run |= {"outputs": {"pageInfo": _PAGE, "edges": []}}
        return {"project": {"name": "vision", "entityName": "admin", "run": run}}

    def _LookUpRun(self, given: Mapping[str, Any]) -> Any:
        controls = {"edges": [{"node": {"name": "stays"}}]}
        left = len(self.names) + 1 - len(self.hidden)
        found = {"readOnly": False, "runCount": left, "run": self._run(given["run"]), "controls": controls}
        return {"project": {"name": "vision", "entityName": "admin", **found}}

    def _DeleteRun(self, given: Mapping[str, Any]) -> Any:
        self.deletions += 1
        self.hidden.add(given["id"])
        return {"deleteRun": {"clientMutationId": None}}

    def _run(self, name: str) -> dict[str, Any] | None:
        return None if f"id-{name}" in self.hidden else run_as_sent(name)


def run_as_sent(name: str) -> dict[str, Any]:
    """One run as the wire has it."""
    return {
        "id": f"id-{name}",
        "name": name,
        "createdAt": _CREATED,
        "displayName": name,
        "group": None,
        "jobType": None,
        "sweepName": None,
        "state": "finished",
        "tags": ["old"],
        "user": {"username": "admin"},
        "heartbeatAt": _CREATED,
        "updatedAt": _CREATED,
        "readOnly": False,
        "historyLineCount": 10,
        "eventsLineCount": 1,
        "logLineCount": 5,
        "fileCount": 3,
        "storageBytes": 1000,
    }


def planned(name: str) -> PlannedRun:
    """One run as a plan has it."""
    state = msgspec.convert(run_as_sent(name), RunState)
    facts = RunFacts(path=RunPath("admin", "vision", name), run=state, outputs=())
    given = {"storage_id": state.id, "created_at": _CREATED, "fingerprint": fingerprint(facts)}
    return planned_run(name, **given)


@contextmanager
def large_case(folder: Path, runs: int) -> Iterator[tuple[Case, Client, FakeServer]]:
    """A case over so many runs, its server and a client of it."""
    server = FakeServer(runs)
    where = Server(base_url=URL, deployment=None, version=None, is_test=False)
    plan = make_plan(*(planned(name) for name in server.names), plan_id="large", server=where)
    ledger = Ledger.open(f"sqlite:///{folder / 'erasure.sqlite'}")
    holds = HoldRegister(folder / "holds.json")
    client = Client(settings=Settings(base_url=URL, api_key="k" * 40), session=Session(server), holds=holds)
    try:
        yield Case(path=folder / "plan.json", plan=plan, key=KEY, ledger=ledger), client, server
    finally:
        ledger.close()
