"""What the command's exit code means: one table, from error classes to numbers. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from wbgql import errors

OK = 0
INTERNAL = 1
USAGE = 2
PARTIAL = 3
AUTH = 4
CHANGED = 5
HELD = 6
NOT_APPROVED = 7
CAP = 8
TRY_LATER = 9
CANNOT_VERIFY = 10
LOCKED = 11
UNSTABLE = 12
NOT_FOUND = 13
STORE = 14
RESIDUALS = 15
LACKING = 16
INTERRUPTED = 130
BROKEN_PIPE = 141

CODES: dict[type[BaseException], int] = {
    errors.WbgqlError: INTERNAL,
    errors.UsageError: USAGE,
    errors.ConfigError: USAGE,
    errors.RedirectRefused: USAGE,
    errors.FilterError: USAGE,
    errors.NotFetched: USAGE,
    errors.NotServed: USAGE,
    errors.NotRead: USAGE,
    errors.DocumentError: USAGE,
    errors.RequestError: INTERNAL,
    errors.AuthenticationError: AUTH,
    errors.PermissionDenied: AUTH,
    errors.NotFound: NOT_FOUND,
    errors.RateLimited: TRY_LATER,
    errors.ServerUnavailable: TRY_LATER,
    errors.ResponseError: INTERNAL,
    errors.SchemaMismatch: LACKING,
    errors.ResultError: INTERNAL,
    errors.SafetyError: NOT_APPROVED,
    errors.Held: HELD,
    errors.Kept: HELD,
    errors.NotApproved: NOT_APPROVED,
    errors.StillLogging: CHANGED,
    errors.NotVisible: CANNOT_VERIFY,
    errors.UnstablePopulation: UNSTABLE,
    errors.PlanChanged: CHANGED,
    errors.CapExceeded: CAP,
    errors.Locked: LOCKED,
    errors.Paused: TRY_LATER,
    errors.NotVerified: CANNOT_VERIFY,
    errors.PartialError: PARTIAL,
    errors.ResidualsLeft: RESIDUALS,
    errors.StoreError: STORE,
}

_MEANINGS: dict[int, str] = {
    OK: "done; for a dry run: shown, nothing was sent",
    INTERNAL: "the server answered what it should not, or a fault in wbgql (`--debug` shows the traceback)",
    USAGE: "a mistake in the command, a setting, a filter or a `.graphql` file; nothing was done",
    PARTIAL: "some was done, some was not; the message says which and how to go on",
    AUTH: "the key is missing or wrong, or its owner may not do this",
    CHANGED: "a run is still being logged (stop it, or `--force`), or a plan was changed or has expired",
    HELD: "a hold stands in the way, or the register cannot be read; or an artifact version is aliased, "
    "linked or the server's own; nothing was done",
    NOT_APPROVED: "not confirmed, or not for this server; nothing was done",
    CAP: "more would go than the caps allow; nothing was done",
    TRY_LATER: "rate limited, the server did not answer, or a job used up its budget; go on later",
    CANNOT_VERIFY: "null that proves nothing (a typo, a move, missing rights), something erased came back, "
    "or a check that could not be made",
    LOCKED: "another job is at work on the same target; nothing was done",
    UNSTABLE: "the set of runs moved while it was read; try again",
    NOT_FOUND: "missing, or not visible to this key",
    STORE: "a local file or database is damaged, locked or full, or a port is in use",
    RESIDUALS: "verified as absent; what is left only the provider can remove (`--accept-residuals`: 0)",
    LACKING: "the server's schema lacks, or has otherwise, what an operation needs",
    INTERRUPTED: "interrupted by the keyboard",
    BROKEN_PIPE: "whoever read the output stopped reading (`| head`)",
}


class Row(NamedTuple):
    """One exit code, what it means, and the names of the errors that lead to it."""

    code: int
    meaning: str
    errors: tuple[str, ...]


def code_of(error: BaseException) -> int:
    """Return the exit code of an error; the most specific class that has one decides."""
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), INTERNAL)


def table() -> list[Row]:
    """Every exit code in order, for the documentation."""
    return [Row(code, _MEANINGS[code], tuple(_names(code))) for code in sorted(_MEANINGS)]


def _names(code: int) -> Iterator[str]:
    return (kind.__name__ for kind, its_code in CODES.items() if its_code == code)
