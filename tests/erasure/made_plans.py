"""Small plans and keys, made by hand, for tests that need no server."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import msgspec

from wbgql.erasure.records.approvals import Approver, ApproversFile
from wbgql.erasure.records.keys import PrivateKey
from wbgql.erasure.records.plan import (
    Approvers,
    Caps,
    Clock,
    Plan,
    PlannedArtifact,
    PlannedRun,
    Planner,
    Project,
    Request,
    Rights,
    Rule,
    Server,
    Tool,
    make_totals,
)
from wbgql.erasure.records.subjects import CaseKey
from wbgql.scalars import make_run_storage_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CASE_KEY = CaseKey(bytes(range(32)))
PLANNER, OFFICER, OWNER, STRANGER = (PrivateKey.from_seed(bytes([number]) * 32) for number in range(1, 5))
BASE_URL = "http://127.0.0.1:8899"
DIGEST = "sha256:" + "5" * 64


def approvers_file() -> ApproversFile:
    """The officer and the system owner, who may approve."""
    listed = {OFFICER: "data-protection officer", OWNER: "system owner"}
    return ApproversFile(
        Approver(public_key=key.public.to_base64(), role=role) for key, role in listed.items()
    )


def planned_artifact(name: str, **fields: Any) -> PlannedArtifact:
    values: dict[str, Any] = {
        "id": f"QXJ0aWZhY3Q6{name}",
        "name": f"{name}:v0",
        "type": "model",
        "digest": "5d41402a",
        "size_bytes": 1000,
        "decision": "erase",
        "reason": "exclusive",
        "fingerprint": DIGEST,
    }
    return PlannedArtifact(**values | fields)


def planned_run(run_id: str, *artifacts: PlannedArtifact, project: str = "vision") -> PlannedRun:
    return PlannedRun(
        entity="acme",
        project=project,
        id=run_id,
        storage_id=make_run_storage_id("acme", project, run_id),
        created_at="2025-06-01T08:00:00Z",
        owner="anna",
        state="finished",
        fingerprint=DIGEST,
        history_lines=100,
        file_count=3,
        size_bytes=5000,
        artifacts=list(artifacts),
    )


def clocks(undelete: int | None = 7 * 86400, retention: int | None = None) -> list[Clock]:
    """Four clocks; those given are the server's word, the others unknown."""
    given = {"undelete_window": undelete, "run_retention": retention}
    return [
        Clock(
            name=name, seconds=given.get(name), source="server" if given.get(name) is not None else "unknown"
        )
        for name in ("undelete_window", "run_retention", "artifact_collection", "backups")
    ]


def make_plan(*runs: PlannedRun, required: int | None = None, **fields: Any) -> Plan:
    """A plan over `runs` (two where none are given); with `required`, approvers are named."""
    excluded = fields.get("excluded", [])
    left_out = [one.path.rpartition("/")[0] for one in excluded if one.reason != "not_matching"]
    planned = list(runs) or [planned_run("r1", planned_artifact("net")), planned_run("r2")]
    values: dict[str, Any] = {
        "plan_id": "0197f000-0000-7000-8000-000000000001",
        "created_at": "2026-01-01T00:00:00Z",
        "expires_at": "2026-01-08T00:00:00Z",
        "tool": Tool(name="wbgql", version="0.1.0", sdl=DIGEST),
        "server": Server(base_url=BASE_URL, deployment="local", version="0.1.0", is_test=True),
        "request": Request(
            reference="DSR-4711",
            basis="gdpr-17",
            received_at="2025-12-20T00:00:00Z",
            due_at="2026-01-20T00:00:00Z",
        ),
        "rule": Rule(scopes=["acme/*"], where='"subject:4711" in tags', filters='{"tags":"subject:4711"}'),
        "planner": Planner(username="paul", key_id=PLANNER.key_id),
        "rights": [Rights(entity="acme", username="paul", role="admin")],
        "projects": [
            Project(path=path, runs=40, matched=number + left_out.count(path), planned=number)
            for path, number in Counter(str(run.path.project_path) for run in planned).items()
        ],
        "not_read": [],
        "caps": Caps(max_runs=100, max_percent=10),
        "canaries": [],
        "approvers": None
        if required is None
        else Approvers(digest=approvers_file().digest, required=required),
        "clocks": clocks(),
        "holds": DIGEST,
        "case_key_id": CASE_KEY.key_id,
        "runs": planned,
        "excluded": [],
        "totals": make_totals(planned, excluded),
        "stays": ["backups of the database"],
    }
    return msgspec.convert(msgspec.to_builtins(Plan(**values | fields)), Plan)
