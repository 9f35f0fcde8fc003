"""In what a W&B server may differ from this one as it comes: one field for each switch, and presets. No I/O.

Each field is read at the one place whose behaviour it changes. `docs/server.md` lists the sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wbgql.errors import ConfigError

ON, OFF = "on", "off"
SWITCHES = (ON, OFF)

FILTERED, ALL = "filtered", "all"
UNDELETES = (FILTERED, ALL)
"""`filtered`: those that match. `all`: every deleted run of the project, whatever the filter says."""

LINES, PAGED = "lines", "paged"
AUDIT_LOGS = (LINES, PAGED)
"""`lines`: one JSON object a line, at `/admin/audit_logs`. `paged`: one object a page, at `/audit_logs`."""

OBEYED, NO_OR, NO_IN, IGNORED = "obeyed", "no-or", "no-in", "ignored"
BULK_FILTERS = (OBEYED, NO_OR, NO_IN, IGNORED)
"""What bulk mutations make of their filter; see `bulk_filters`."""

AT_ONCE, TASK = "at-once", "task"
MOVES = (AT_ONCE, TASK)
"""`task`: runs move after the answer, and are lost if the destination is not there."""

WHOLE, SEGMENTS = "whole", "segments"
FORK_SAMPLES = (WHOLE, SEGMENTS)
"""`segments`: the rows before and after the branch point are sampled apart, `samples` of each."""

COMPARED, OPAQUE = "compared", "opaque"
LISTS = (COMPARED, OPAQUE)
"""`compared`: a filter looks into lists in config and summary, as MongoDB does. `opaque`: it matches none."""


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """How a server behaves where W&B's servers differ, or are reported to differ, from this one.

    Raises:
        ConfigError: a word that a switch does not know, or a number that cannot be meant.
    """

    undelete: str = FILTERED
    """What `undeleteRuns` brings back; one of `UNDELETES`. W&B's own page is known to bring back all."""
    without: tuple[str, ...] = ()
    """`Type`, `Type.field` or `Type.field(argument:)`: the server answers as one whose schema lacks them."""
    null: tuple[str, ...] = ()
    """Each `Type.field` here is answered null, which its type in the schema must allow."""
    introspection: str = ON
    """Off: the schema is not shown, as on servers that forbid introspection."""
    deleted_ids: int = 410
    """The status that refuses a deleted id for new logging: 410 ends the SDK's attempt, 409 is W&B's own.

    The SDK retries a 409 until `init_timeout`, about 90 s.
    Source: wandb/wandb issues 4948, 4897, 10669 (2026-11).
    """
    failing_reads: int = 0
    """Each query whose number is a multiple of this fails with HTTP 500; 0: none does.

    Source: wandb/wandb issues 5372, 4694, 7267: passing faults arrive as HTTP 500 (2026-11).
    """
    audit_log: str = LINES
    """One of `AUDIT_LOGS`. Source: W&B docs, audit logging (2026-11)."""
    bulk_filters: str = OBEYED
    """One of `BULK_FILTERS`. Source: a public script of 2026 reports that `moveRuns` ignored an `$or`."""
    moves: str = AT_ONCE
    """One of `MOVES`. Source: public scripts that poll `task` and report lost runs (2026)."""
    fork_samples: str = WHOLE
    """One of `FORK_SAMPLES`. Source: W&B server 0.82 samples each segment of a forked run (2026)."""
    stale_reads_s: float = 0.0
    """Queries see the store as it was this many seconds ago, as from a replica that lags.

    Source: the helm chart's ClickHouse run store, eventually consistent (wandb/helm-charts, 2026).
    """
    lists: str = COMPARED
    """One of `LISTS`. Source: wandb/wandb issue 10900: no filter finds a list in config (2025-11)."""

    def __post_init__(self) -> None:
        for name, known in _KNOWN.items():
            if getattr(self, name) not in known:
                words = ", ".join(map(str, known))
                raise ConfigError(f"{name} is {getattr(self, name)!r}, choose one of {words}")
        if self.failing_reads < 0:
            raise ConfigError(
                f"failing_reads is {self.failing_reads}, give 0 for none, or 2 for every second read"
            )
        if not 0 <= self.stale_reads_s <= MAX_STALE_S:
            raise ConfigError(f"stale_reads_s is {self.stale_reads_s:g}, give 0 to {MAX_STALE_S:g} seconds")


MAX_STALE_S = 60.0
"""The longest lag: the server keeps copies of its store for that long."""

_KNOWN: dict[str, tuple[Any, ...]] = {
    "undelete": UNDELETES,
    "introspection": SWITCHES,
    "deleted_ids": (410, 409),
    "audit_log": AUDIT_LOGS,
    "bulk_filters": BULK_FILTERS,
    "moves": MOVES,
    "fork_samples": FORK_SAMPLES,
    "lists": LISTS,
}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "saas-2026": {
        "deleted_ids": 409,
        "failing_reads": 20,
        "audit_log": PAGED,
        "bulk_filters": NO_OR,
        "moves": TASK,
        "fork_samples": SEGMENTS,
        "lists": OPAQUE,
    },
}
"""Switches that go together: W&B's multi-tenant cloud as public sources of 2024 to 2026 report it."""


def preset(name: str | None) -> dict[str, Any]:
    """The switches of a preset; none for None.

    Raises:
        ConfigError: no such preset.
    """
    if name is None:
        return {}
    if name not in PRESETS:
        raise ConfigError(f"like is {name!r}, choose {' or '.join(PRESETS)}")
    return dict(PRESETS[name])
