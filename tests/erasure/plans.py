"""Plans for tests, as small as can be."""

from __future__ import annotations

from collections import Counter
from typing import Any

from wbgql.erasure.records.plan import (
    Caps,
    Plan,
    PlannedArtifact,
    PlannedFile,
    PlannedRun,
    Planner,
    Project,
    Request,
    Rule,
    Server,
    Tool,
    make_totals,
)
from wbgql.erasure.records.subjects import CaseKey

KEY = CaseKey(bytes(range(32)))
NOTHING = "sha256:" + "0" * 64


def planned_run(run_id: str, **fields: Any) -> PlannedRun:
    """A run of `admin/vision`."""
    given = {
        "entity": "admin",
        "project": "vision",
        "id": run_id,
        "storage_id": f"storage-{run_id}",
        "created_at": "2026-01-01T00:00:00Z",
        "owner": "admin",
        "state": "finished",
        "fingerprint": NOTHING,
        "history_lines": 0,
        "file_count": 0,
        "size_bytes": 0,
    }
    return PlannedRun(**{**given, **fields})


def planned_artifact(artifact_id: str, position: int, **fields: Any) -> PlannedArtifact:
    """A version that goes."""
    given = {
        "id": artifact_id,
        "name": f"net-{artifact_id}:v0",
        "type": "model",
        "digest": "d",
        "size_bytes": 1,
        "decision": "erase",
        "reason": "exclusive",
        "fingerprint": NOTHING,
    }
    return PlannedArtifact(**{**given, "position": position, **fields})


def planned_file(file_id: str) -> PlannedFile:
    """A file that goes."""
    return PlannedFile(id=file_id, name=f"{file_id}.bin", size_bytes=1)


def make_plan(*runs: PlannedRun, plan_id: str = "plan-1", **fields: Any) -> Plan:
    """A plan over runs, good for years."""
    given: dict[str, Any] = {
        "plan_id": plan_id,
        "created_at": "2026-01-01T00:00:00Z",
        "expires_at": "2099-01-01T00:00:00Z",
        "tool": Tool(name="wbgql", version="0", sdl=NOTHING),
        "server": Server(base_url="http://127.0.0.1:1", deployment="wbgql-local", version=None, is_test=True),
        "request": Request(reference="DSR-1", basis="gdpr-17"),
        "rule": Rule(scopes=["admin/vision"], where=None, filters=None, ids=len(runs)),
        "planner": Planner(username="admin"),
        "rights": [],
        "projects": [
            Project(path=str(path), runs=40, matched=count, planned=count)
            for path, count in Counter(run.path.project_path for run in runs).items()
        ],
        "not_read": [],
        "caps": Caps(max_runs=100_000, max_percent=100),
        "canaries": [],
        "approvers": None,
        "clocks": [],
        "holds": NOTHING,
        "case_key_id": KEY.key_id,
        "excluded": [],
        "totals": make_totals(runs, []),
        "stays": [],
    }
    return Plan(**{**given, **fields}, runs=list(runs))
