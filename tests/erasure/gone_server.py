"""A server on which every planned run is gone and a control is there: what a last look asks of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from tests.fakes import page
from wbgql.documents import Prepared
from wbgql.wire.transport import Reply

CONTROL = "stays"


class GoneServer:
    """Answers the reads of a verification; `back` are run ids that can be seen again."""

    def __init__(self, *back: str) -> None:
        self.back = back
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        self.sent.append((prepared.name, dict(variables)))
        answer = getattr(self, f"_{prepared.name}")(variables)
        return Reply(data=msgspec.Raw(json.dumps(answer).encode()))

    def close(self) -> None:
        """Nothing is open."""

    def _LookUpRun(self, given: Mapping[str, Any]) -> Any:
        edges = [{"node": {"name": CONTROL}}]
        found = {"readOnly": False, "runCount": 1, "run": None, "controls": {"edges": edges}}
        return {"project": _named(given) | found}

    def _ListRunIds(self, given: Mapping[str, Any]) -> Any:
        asked = json.loads(given["filters"])["name"]["$in"]
        there = [run for run in (*self.back, CONTROL) if run in asked]
        return {"project": {"runs": page([{"id": f"id-{run}", "name": run} for run in there])}}

    def _LookUpRuns(self, given: Mapping[str, Any]) -> Any:
        places = {name: self._seen(run) for name, run in given.items() if name not in ("entity", "project")}
        return {"project": _named(given) | places}

    def _LookUpVersions(self, given: Mapping[str, Any]) -> Any:
        return dict.fromkeys(given)

    def _LookUpCollections(self, given: Mapping[str, Any]) -> Any:
        return {"project": _named(given) | dict.fromkeys(set(given) - {"entity", "project"})}

    def _ListProjects(self, given: Mapping[str, Any]) -> Any:
        return {"projects": page([])}

    def _GetEntity(self, given: Mapping[str, Any]) -> Any:
        return {"entity": {"id": "entity-1", "available": False}}

    def _ListCollections(self, given: Mapping[str, Any]) -> Any:
        return {"project": {"artifactCollections": page([])}}

    def _GetRetention(self, given: Mapping[str, Any]) -> Any:
        return {"serverInfo": None}

    def _seen(self, run: str) -> Any:
        return {"name": run} if run in (*self.back, CONTROL) else None


def _named(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": given["project"], "entityName": given["entity"]}
