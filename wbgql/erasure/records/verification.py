"""What one verification found: a value for the ledger, the journal and the certificate. No I/O.

Names runs, artifacts, files and projects by keyed hashes (`subjects`) only. Counts are complete; single
results stand here only for what is not as expected.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from wbgql.erasure.records.canonical import digest
from wbgql.erasure.records.plan import Clock

Kind = Literal["reads", "storage"]
"""`reads`: through the API, with a fresh session. `storage`: a look at the bytes themselves."""

Verdict = Literal[
    "hidden",  # reads: every claimed run and artifact answers as absent, and the controls held
    "not_hidden",  # reads: at least one of them can be read
    "cannot_verify",  # reads: null that proves nothing: a control failed, or answers did not settle
    "absent",  # storage: nothing was found where it was looked
    "present",  # storage: something was found
    "partial",  # storage: nothing was found, and not everything could be looked at
]
Subject = Literal["run", "artifact", "file", "project"]
FindingState = Literal[
    "visible",  # can be read, and should not
    "unsettled",  # answers contradicted each other to the end
    "unknown",  # null, and no control says why
    "missing",  # should be there (kept on purpose), and is not
    "stored",  # bytes or rows of it are in the store
    "not_looked_at",  # nobody asked for it, or the probe could not look
]
ResidualKind = Literal[
    "system_artifact",  # `wandb-history` and its like: only the provider can remove them
    "fork",  # a run that shares history and files
    "late_object",  # came after the deletion
    "shared_bytes",  # content that something else still uses
]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Controls(_Part, frozen=True, kw_only=True):
    """What tells null-because-absent from null-because-not-visible, counted in projects.

    `positive`: a run that is no part of the plan was visible. `empty`: no other run exists, and the project
    was visible and counted none. `failed`: neither. `negative`: a random id answered null; `broken`: not so.
    """

    positive: int = 0
    empty: int = 0
    failed: int = 0
    negative: int = 0
    broken: int = 0

    @property
    def held(self) -> bool:
        """Whether null means absent everywhere."""
        return not self.failed and not self.broken and self.positive + self.empty > 0


class Finding(_Part, frozen=True, kw_only=True):
    """One thing that is not as it should be. `run`: the number in the plan of the run it belongs to."""

    subject: str
    kind: Subject
    state: FindingState
    run: int | None = None


class Residual(_Part, frozen=True, kw_only=True):
    """One thing that is left, although all was done that can be done from outside. `reason` holds no name."""

    subject: str
    kind: ResidualKind
    reason: str
    run: int | None = None


class Verification(_Part, frozen=True, kw_only=True):
    """One verification. `plan` is the plan's digest, `reader` whose eyes: the job's key or a second one.

    `counts` of reads: `runs`, `runs_absent`, `artifacts`, `artifacts_absent`, `files`, `files_absent`,
    `kept`, `kept_present`, `forks`, `not_claimed`, `open`, `requests`, and of the search for runs that were
    moved `projects_searched`, `projects_not_searched`, `entities_not_searched`; `clock_known` is 1 where the
    server's time agreed with the machine's, 0 where the server did not say it; of storage: `subjects`
    (claimed runs and versions), `absent`, `stored`, `not_looked_at`, `texts_found`.
    `equal_reads`: how many equal answers in a row each result rests on. `probe`: what looked at the bytes
    (`local`, `fsspec`), None for reads. `clocks`: the four as they were read now. `limits`: what was not
    looked at, in words. `searched`: the projects in which runs that may have been moved were searched for;
    verifications of 2026-11 and before have no such field, and searched none.
    """

    schema: Literal["wbgql-erasure-verification/1"] = "wbgql-erasure-verification/1"
    plan: str
    kind: Kind
    at: str
    verdict: Verdict
    reader: Literal["job", "second"] = "job"
    equal_reads: int = 1
    counts: dict[str, int]
    controls: Controls = Controls()
    findings: list[Finding] = []
    residuals: list[Residual] = []
    clocks: list[Clock] = []
    probe: str | None = None
    limits: list[str] = []
    searched: list[str] | msgspec.UnsetType = msgspec.UNSET

    @property
    def digest(self) -> str:
        """`sha256:...` over the canonical bytes; stands in the journal."""
        return digest(self)

    @property
    def is_good(self) -> bool:
        """Whether it shows what was hoped for."""
        return self.verdict in ("hidden", "absent")
