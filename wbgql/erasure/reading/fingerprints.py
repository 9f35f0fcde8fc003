"""Fingerprints: one digest over whatever changes when somebody works on a run or a version. No I/O.

They are compared again right before something is destroyed. What the erasure itself changes (a version's
`latest` moves on, users that go as well are hidden) must not change them; what others do must.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from wbgql.artifacts import is_number
from wbgql.documents import NOT_FETCHED
from wbgql.erasure.reading.facts import ArtifactFacts, Output, RunFacts
from wbgql.erasure.records.canonical import digest
from wbgql.erasure.records.plan import PlannedArtifact, PlannedRun
from wbgql.runs import LOGGING_STATES


def fingerprint(facts: RunFacts, *, logging: bool | None = None) -> str:
    """Return the fingerprint of a run.

    Over: storage id, creation, owner, tags, display name, group, job type, sweep, and the ids and digests of
    the versions that it was the first to log; and over state, last update and heartbeat, and the numbers of
    history, event and log lines and files, unless it was being logged when it was planned (`logging`, by
    default what its state says): stopping it changes those. Not over sizes, which the server corrects late,
    nor over the server's own versions, which it makes late.
    """
    run = facts.run
    made = sorted([out.id, out.digest] for out in facts.outputs if _counts(facts, out))
    parts: dict[str, Any] = {
        "storage_id": run.id,
        "created_at": run.created_at,
        "owner": run.user.username if run.user else None,
        "tags": sorted(run.tags or ()),
        "names": [run.display_name, run.group, run.job_type, run.sweep_name],
        "outputs": made,
    }
    if not (facts.is_logging if logging is None else logging):
        parts |= {
            "state": run.state,
            "times": [run.updated_at, run.heartbeat_at],
            "lines": [run.history_line_count, run.events_line_count, run.log_line_count],
            "files": None if run.file_count is NOT_FETCHED else run.file_count,
        }
    return digest(parts)


def artifact_fingerprint(
    facts: ArtifactFacts,
    *,
    users: Collection[str] = (),
    links: Collection[str] = (),
    numbers: Collection[str] = (),
) -> str:
    """Return the fingerprint of a version.

    Over: its id, state, digest, the aliases that somebody gave it, the collections it is linked into and the
    runs that use it, except those among `links` and `users`: they go by the same plan. `numbers` are counted
    as aliases: a plan that was made before `vN` was told from an alias holds those that its server listed.
    """
    version = facts.version
    return digest(
        {
            "id": version.id,
            "state": version.state,
            "digest": version.digest,
            "aliases": sorted({*version.given_aliases, *numbers}),
            "links": sorted(set(version.links) - set(links)),
            "users": sorted(set(facts.users) - set(users)),
            "hidden_users": facts.hidden_users,
        }
    )


def is_run_as_planned(planned: PlannedRun, facts: RunFacts) -> bool:
    """Whether nobody has worked on a run since it was planned."""
    return fingerprint(facts, logging=planned.state in LOGGING_STATES) == planned.fingerprint


def is_artifact_as_planned(planned: PlannedArtifact, facts: ArtifactFacts) -> bool:
    """Whether nobody has used, linked, named or deleted a version since it was planned.

    Uses by planned runs do not count: that these are hidden (`planned.with_runs`) is to be made sure of
    elsewhere.
    """
    numbers = [alias for alias in planned.aliases if is_number(alias)]
    now = artifact_fingerprint(facts, users=planned.users, links=planned.links, numbers=numbers)
    return now == planned.fingerprint


def _counts(facts: RunFacts, output: Output) -> bool:
    return not output.is_system and output.maker == facts.run.id
