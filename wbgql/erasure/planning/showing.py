"""A plan as people read it: what would go, what stays and why, and when. Sends nothing. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from wbgql.erasure.reading.clocks import predict
from wbgql.erasure.records.plan import Clock, Plan, PlannedArtifact, PlannedRun, total_references
from wbgql.scalars import format_datetime, parse_datetime

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))
_GOES = ("erase", "unlink")
_RISKS = {
    "logging": "a process is still at work on it; applying stops it and waits until it is quiet",
    "forked": "other runs were forked from it, and stay",
    "fork": "its history began in a run that stays",
    "rewound": "what was cut off by a rewind may be kept by the server as another run",
    "rights_unknown": "whether this key may delete it, only the server knows",
}
_CLOCKS = {
    "undelete_window": "can be brought back until",
    "run_retention": "runs removed by the server from",
    "artifact_collection": "bytes of versions removed from",
    "backups": "gone from backups from",
}


def summarize(plan: Plan, now: datetime) -> dict[str, Any]:
    """Return the plan as JSON data without its runs: counts, decisions, risks, dates, what stays.

    The dates are those of a plan that is applied at `now`; a clock that nobody knows has none.
    """
    artifacts = [artifact for run in plan.runs for artifact in run.artifacts]
    ends = predict(plan, now)
    return {
        "digest": plan.digest,
        "plan_id": plan.plan_id,
        "created_at": plan.created_at,
        "expires_at": plan.expires_at,
        "expired": now >= parse_datetime(plan.expires_at),
        "server": _plain(plan.server),
        "request": _plain(plan.request),
        "rule": _plain(plan.rule),
        "planner": _plain(plan.planner),
        "rights": [_plain(one) for one in plan.rights],
        "approvers": None if plan.approvers is None else _plain(plan.approvers),
        "caps": _plain(plan.caps),
        "canaries": plan.canaries,
        "projects": [_plain(project) for project in plan.projects],
        "not_read": [_plain(part) for part in plan.not_read],
        "totals": _plain(plan.totals),
        "artifacts": _decisions(artifacts),
        "references": total_references(artifacts),
        "risks": dict(sorted(Counter(risk for run in plan.runs for risk in run.risks).items())),
        "forks": sorted({fork for run in plan.runs for fork in run.forks}),
        "excluded": dict(sorted(Counter(run.reason for run in plan.excluded).items())),
        "clocks": [_clock(clock, ends[clock.name]) for clock in plan.clocks],
        "stays": plan.stays,
    }


def write_out(plan: Plan, now: datetime) -> str:
    """Return the same as text for a terminal."""
    return "\n".join(_lines(plan, now)) + "\n"


def run_row(number: int, run: PlannedRun) -> dict[str, Any]:
    """One run of a plan as a row of a list. `number` counts from 1, as in all output and in the evidence."""
    goes = [artifact for artifact in run.artifacts if artifact.decision in _GOES]
    return {
        "no": number,
        "path": str(run.path),
        "owner": run.owner,
        "state": run.state,
        "created_at": run.created_at,
        "bytes": run.size_bytes,
        "artifacts_go": len(goes),
        "artifacts_stay": len(run.artifacts) - len(goes),
        "files": len(run.files),
        "forks": len(run.forks),
        "risks": run.risks,
        "id": run.storage_id,
    }


def artifact_rows(plan: Plan) -> Iterator[dict[str, Any]]:
    """Every version of a plan as a row, in the order of the runs."""
    for number, run in enumerate(plan.runs, 1):
        for artifact in run.artifacts:
            yield {
                "run_no": number,
                "name": f"{run.entity}/{run.project}/{artifact.name}",
                "type": artifact.type,
                "run": run.id,
                "decision": artifact.decision,
                "reason": artifact.reason,
                "position": artifact.position or None,
                "bytes": artifact.size_bytes,
                "aliases": artifact.aliases,
                "references": artifact.references,
                "id": artifact.id,
            }


def file_rows(plan: Plan) -> Iterator[dict[str, Any]]:
    """Every file of a plan that goes one by one as a row, in the order of the runs."""
    for number, run in enumerate(plan.runs, 1):
        for file in run.files:
            yield {
                "run_no": number,
                "run": str(run.path),
                "name": file.name,
                "id": file.id,
                "bytes": file.size_bytes,
            }


def target_lines(plan: Plan) -> Iterator[str]:
    """What identifies each thing that goes, a line each: what an approver signs.

    The path as people know it, and the id that is sent to the server.
    """
    for number, run in enumerate(plan.runs, 1):
        owner = run.owner or "an owner that is not known"
        yield f"run no. {number}  {run.path}  {run.storage_id}  made {run.created_at} by {owner}"
        for artifact in run.artifacts:
            if artifact.goes:
                yield f"  artifact {artifact.type} {artifact.name}  {artifact.id}"
        for file in run.files:
            yield f"  file {file.name}  {file.id}"


def _lines(plan: Plan, now: datetime) -> Iterator[str]:
    seen = summarize(plan, now)
    yield from _head(plan, expired=seen["expired"])
    yield "\ngoes"
    yield from _table(_going(plan, seen))
    if plan.excluded or seen["risks"]:
        yield "\nlook at"
        yield from (f"  {_count(number, 'run')}: {_RISKS[risk]}" for risk, number in seen["risks"].items())
        yield from (f"  {run.path} stays: {run.detail}" for run in plan.excluded[:10])
        if len(plan.excluded) > 10:
            yield f"  and {len(plan.excluded) - 10} more that stay"
        yield from (f"  {fork} was forked from a run that goes, and stays" for fork in seen["forks"])
    yield "\nif it were applied now"
    yield from _table({_CLOCKS[clock["name"]]: _end(clock) for clock in seen["clocks"]})
    yield "\nstays"
    yield from (f"  {line}" for line in plan.stays)


def _head(plan: Plan, *, expired: bool) -> Iterator[str]:
    server = plan.server
    rows = {
        "plan": plan.digest,
        "made": f"{_when(plan.created_at)} by {plan.planner.username}"
        + (f" ({plan.planner.key_id})" if plan.planner.key_id else ""),
        "expires": f"{_when(plan.expires_at)}{', which has passed: make a new one' if expired else ''}",
        "server": f"{server.base_url}{' (a local test server)' if server.is_test else ''}",
        "request": f"{plan.request.reference} ({plan.request.basis})",
        "due": plan.request.due_at or "",
        "rule": plan.rule.where or (f"{plan.rule.ids} ids" if plan.rule.ids is not None else "every run"),
        "scope": ", ".join(plan.rule.scopes),
        "role": ", ".join(f"{one.role or 'unknown'} in {one.entity}" for one in plan.rights),
        "approval": f"{plan.approvers.required} of the keys of {plan.approvers.digest}"
        if plan.approvers
        else "the typed phrase alone",
    }
    return _table({name: value for name, value in rows.items() if value}, indent="")


def _going(plan: Plan, seen: Mapping[str, Any]) -> dict[str, str]:
    totals = plan.totals
    rows = {
        "runs": f"{totals.planned} of {totals.matched} that match, {_bytes(totals.run_bytes)}",
        "versions": f"{totals.artifacts_erased} of {totals.artifacts_erased + totals.artifacts_kept}, "
        f"{_bytes(totals.artifact_bytes)}",
    }
    if totals.files:
        rows["files"] = str(totals.files)
    for project in plan.projects:
        if project.matched:
            rows[project.path] = f"{project.planned} of {_count(project.runs, 'run')}"
    for decision, reasons in seen["artifacts"].items():
        rows[decision] = ", ".join(f"{number} {reason}" for reason, number in reasons.items())
    return rows


def _decisions(artifacts: list[PlannedArtifact]) -> dict[str, dict[str, int]]:
    counts = Counter((artifact.decision, artifact.reason) for artifact in artifacts)
    found: dict[str, dict[str, int]] = {}
    for (decision, reason), number in sorted(counts.items()):
        found.setdefault(decision, {})[reason] = number
    return found


def _clock(clock: Clock, end: datetime | None) -> dict[str, Any]:
    return _plain(clock) | {"ends_at": None if end is None else format_datetime(end)}


def _end(clock: Mapping[str, Any]) -> str:
    if clock["ends_at"] is None:
        return "unknown: the server does not say, and nobody declared it"
    source = "the server says" if clock["source"] == "server" else f"declared by {clock['declared_by']}"
    return f"{_when(clock['ends_at'])} ({source}: {_span(clock['seconds'])})"


def _when(instant: str) -> str:
    return f"{parse_datetime(instant):%Y-%m-%d %H:%M:%S}Z"


def _span(seconds: int) -> str:
    for size, unit in _UNITS:
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _bytes(number: int) -> str:
    size = float(number)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _table(rows: Mapping[str, str], indent: str = "  ") -> Iterator[str]:
    width = max(map(len, rows), default=0)
    return (f"{indent}{name:<{width}}  {value}" for name, value in rows.items())


def _plain(part: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(part)
    return found
