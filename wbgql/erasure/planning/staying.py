"""What a plan does not remove, in words: exact where it can be counted, named where it cannot. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from wbgql.erasure.records.plan import ExcludedRun, Exclusion, NotRead, PlannedRun, Reason, total_references

_KEPT: dict[Reason, str] = {
    "used_elsewhere": "runs that stay use them",
    "logged_elsewhere": "runs that stay logged them too",
    "linked": "they are linked into a portfolio or a registry",
    "aliased": "they carry an alias that somebody gave them",
    "protected": "they carry a protected alias: an admin of the registry must take it off",
    "system": "they are the server's own (`wandb-history` holds the metrics): ask its operator",
    "held": "they are under a hold",
    "already_deleted": "they are deleted already",
    "not_decidable": "the server does not say enough of them",
}
_EXCLUDED: dict[Exclusion, str] = {
    "held": "under a hold",
    "denied": "this key may not delete them",
    "read_only": "in projects that are read-only for this key",
    "logging": "still being logged",
    "not_matching": "the server gave them, but they do not match",
}
# Source: W&B docs and issues, as of 2026: what deleting a run does not touch.
_ALWAYS = (
    "reports, workspaces and saved views that show or quote these runs",
    "sweeps, launch queues and their items that name them",
    "alerts, mails and webhooks that were sent, and whatever was exported or copied",
    "the server's audit logs",
    "Weave traces and calls that name them: they are stored apart from runs",
    "backups and replicas, until they expire; rows that a store such as ClickHouse drops only later",
    "files on the machines that logged: `wandb/` folders, caches, offline runs",
    "bytes of hidden runs and deleted versions, until the server removes them by itself; bytes that other "
    "versions share stay for good",
)


def say_what_stays(
    runs: Sequence[PlannedRun],
    excluded: Sequence[ExcludedRun],
    not_read: Sequence[NotRead],
    unseen: Sequence[str],
    originals: Mapping[str, str],
) -> list[str]:
    """Return sentences, those about this plan first. `unseen`: entities whose projects were listed.

    `originals`: by path of a run that was rewound, the run that keeps what was cut off.
    """
    return [
        *_excluded_runs(excluded),
        *_kept_versions(runs),
        *_relatives(runs, originals),
        *_references(runs),
        *_not_seen(not_read, unseen),
        *_ALWAYS,
    ]


def _excluded_runs(excluded: Sequence[ExcludedRun]) -> Iterator[str]:
    counts = Counter(run.reason for run in excluded)
    for reason, words in _EXCLUDED.items():
        if counts[reason]:
            yield f"{_count(counts[reason], 'run')}: {words}"


def _kept_versions(runs: Sequence[PlannedRun]) -> Iterator[str]:
    artifacts = [artifact for run in runs for artifact in run.artifacts]
    counts = Counter(one.reason for one in artifacts if one.decision not in ("erase", "unlink"))
    for reason, words in _KEPT.items():
        if counts[reason]:
            yield f"{_count(counts[reason], 'artifact version')}: {words}"


def _relatives(runs: Sequence[PlannedRun], originals: Mapping[str, str]) -> Iterator[str]:
    forks = {fork for run in runs for fork in run.forks}
    if forks:
        yield f"{_count(len(forks), 'run')} forked from runs that go: history and files up to the fork"
    begun = sum("fork" in run.risks for run in runs)
    if begun:
        yield f"the beginning of {_count(begun, 'run')}: it is the history of runs that stay"
    for run, original in sorted(originals.items()):
        yield f"what {run} lost by a rewind: it is in {original}; plan that run too if it has to go"
    rewound = sum("rewound" in run.risks and str(run.path) not in originals for run in runs)
    if rewound:
        yield f"what {_count(rewound, 'run')} lost by a rewind: the server may keep it as another run"


def _references(runs: Sequence[PlannedRun]) -> Iterator[str]:
    found = total_references(artifact for run in runs for artifact in run.artifacts)
    if found is None:
        yield "files that artifact versions may only refer to: the server does not say which lie outside it"
    elif found:
        yield f"{_count(found, 'file')} that artifact versions only refer to: they lie outside the server"


def _not_seen(not_read: Sequence[NotRead], unseen: Sequence[str]) -> Iterator[str]:
    if not_read:
        yield f"whatever is in {_count(len(not_read), 'place')} named and not read: nothing is said of it"
    for entity in unseen:
        yield f"runs in projects of {entity!r} that this key cannot see: nothing is said of them"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
