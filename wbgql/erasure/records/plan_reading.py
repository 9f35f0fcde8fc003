"""What a plan must be besides well-formed: an edited file may hold anything. No I/O."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from wbgql.erasure.records.plan_ids import find_contradictions
from wbgql.errors import UsageError
from wbgql.paths import parse_listed_run, parse_project_path
from wbgql.scalars import parse_datetime

if TYPE_CHECKING:
    from wbgql.erasure.records.plan import Clock, Plan, PlannedRun

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # names files beside the ledger
_MAX_CLOCK_S = 1000 * 366 * 86_400


def find_nonsense(plan: Plan) -> str | None:
    """Say in words what of a plan cannot be meant, None where nothing is. Quotes no value."""
    return next(_nonsense(plan), None)


def _nonsense(plan: Plan) -> Iterator[str]:
    if not _ID.fullmatch(plan.plan_id):
        yield "`plan_id` is no id"
    for name, text in (("created_at", plan.created_at), ("expires_at", plan.expires_at)):
        if not _is_time(text):
            yield f"`{name}` is no time"
    if not _is_url(plan.server.base_url):
        yield "`server.base_url` is no URL"
    yield from _bad_clocks(plan.clocks)
    yield from _bad_paths("projects", parse_project_path, (project.path for project in plan.projects))
    canaries = (text for text in plan.canaries if not text.startswith("tag:"))
    yield from _bad_paths("canaries", parse_listed_run, canaries)
    yield from _bad_runs(plan.runs)
    yield from find_contradictions(plan.runs)
    yield from _bad_counts(plan)


def _bad_clocks(clocks: Sequence[Clock]) -> Iterator[str]:
    for number, clock in enumerate(clocks):
        if clock.seconds is not None and not 0 <= clock.seconds <= _MAX_CLOCK_S:
            yield f"`clocks[{number}].seconds` is no length of time that can be waited for"


def _bad_paths(name: str, parse: Callable[[str], object], texts: Iterable[str]) -> Iterator[str]:
    for number, text in enumerate(texts):
        try:
            parse(text)
        except UsageError:
            yield f"`{name}[{number}]` is no path"


def _bad_runs(runs: Sequence[PlannedRun]) -> Iterator[str]:
    seen = set()
    for number, run in enumerate(runs):
        parts = (run.entity, run.project, run.id)
        if not all(parts) or any("/" in part for part in parts[:2]):
            yield f"`runs[{number}]` has no path"
        if parts in seen:
            yield f"`runs[{number}]` is named twice"
        seen.add(parts)
        if any(not 0 <= other < len(runs) for artifact in run.artifacts for other in artifact.with_runs):
            yield f"`runs[{number}]` has a version that hangs on a run which is not in the plan"


def _bad_counts(plan: Plan) -> Iterator[str]:
    """What approvers read of a plan are its counts."""
    if not plan.runs:
        return  # the ledger's copy of a plan, which has no runs
    planned = Counter(str(run.path.project_path) for run in plan.runs)
    listed = {project.path: project.planned for project in plan.projects}
    if planned != Counter(listed) or len(listed) != len(plan.projects):
        yield "`projects` does not count the runs as they are listed"
    if len(plan.runs) > plan.caps.max_runs:
        yield "`runs` holds more than `caps.max_runs` allows"


def _is_time(text: str) -> bool:
    try:
        parse_datetime(text)
    except ValueError:
        return False
    return True


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
