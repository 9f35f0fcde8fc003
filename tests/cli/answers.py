"""What a W&B server answers, for commands under test."""

from __future__ import annotations

from typing import Any

from tests.fakes import page


def run(name: str = "r1", **fields: Any) -> dict[str, Any]:
    """One run as a list gives it."""
    return {
        "id": f"storage-{name}",
        "name": name,
        "displayName": f"label {name}",
        "state": "finished",
        "tags": [],
        "group": None,
        "jobType": None,
        "sweepName": None,
        "createdAt": "2026-01-01T00:00:00Z",
        "heartbeatAt": None,
        "user": {"username": "ada"},
        **fields,
    }


def runs(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One page of runs."""
    return {"project": {"runs": page(nodes, **more)}}


def one_run(node: dict[str, Any] | None) -> dict[str, Any]:
    """A run asked for by its id, with everything; what `node` does not say is null."""
    names = ("notes", "host", "updatedAt", "computeSeconds", "config", "summaryMetrics")
    return {"project": {"run": node and {**dict.fromkeys(names), **node}}}


def seen(node: dict[str, Any] | None, *controls: str, count: int = 2) -> dict[str, Any]:
    """A run looked up beside its controls."""
    edges = [{"node": {"name": control}} for control in controls]
    return {
        "project": {
            "name": "vision",
            "entityName": "acme",
            "readOnly": False,
            "runCount": count,
            "run": node,
            "controls": {"edges": edges},
        }
    }


def seen_many(*nodes: dict[str, Any] | None, project: str = "vision", entity: str = "acme") -> dict[str, Any]:
    """Runs looked up together, in the places of one request; the places that are left repeat the last."""
    filled = [*nodes, *nodes[-1:] * (25 - len(nodes))]
    places = {f"r{place}": node for place, node in enumerate(filled)}
    return {"project": {"name": project, "entityName": entity, "readOnly": False, **places}}


def ids(*names: str) -> dict[str, Any]:
    """All run ids of a project."""
    return {"project": {"runs": page([{"id": f"storage-{name}", "name": name} for name in names])}}


def fields(*paths: str) -> dict[str, Any]:
    """The keys of a project."""
    return {"project": {"fields": page([{"path": path, "type": "number"} for path in paths])}}


RIGHTS = {
    "viewer": {"username": "ada", "admin": False},
    "entity": {
        "name": "acme",
        "isTeam": True,
        "members": [{"username": "ada", "role": "member", "admin": False}],
    },
}
RETENTION = {"serverInfo": {"deploymentId": "wbgql-local", "dataRetentionDuration": 86400}}
DELETED = {"deleteRun": {"clientMutationId": None}}
UNDELETED = {"undeleteRuns": {"clientMutationId": None}}
VIEWER = {
    "viewer": {
        "id": "1",
        "username": "ada",
        "email": None,
        "entity": "acme",
        "admin": False,
        "teams": {"edges": [{"node": {"name": "acme"}}]},
    }
}
