"""Every error that leaves this package, as one tree. No I/O.

WbgqlError                       .maybe_applied; retryable: class attribute, False unless said
├── UsageError(ValueError)       the caller's mistake
│   ├── ConfigError              a setting is missing, malformed or contradicts another
│   │   └── RedirectRefused      a file of the current folder would send a key elsewhere; .base_url
│   ├── FilterError              an expression or filter the server would refuse or misread; .text .column
│   ├── NotFetched               an attribute or key is read that was not asked for
│   │   └── NotServed            an attribute is read that this server's schema lacks
│   └── NotRead(TypeError)       a list that is read as it is used is asked for its length or a place
├── DocumentError                a .graphql file and the SDL disagree: .file .line .reason
├── RequestError                 .operation .status (or None) .errors .data (may be partial)
│   ├── AuthenticationError      the key is missing, wrong or expired
│   ├── PermissionDenied         the key is right, its owner may not do this
│   ├── NotFound                 null where one object was asked for: missing, or not visible to this key
│   ├── RateLimited              .retry_after_s; retryable
│   ├── ServerUnavailable        5xx, timeout, refused, reset; .timed_out .sent; retryable
│   ├── ResponseError            the server answered with errors of another kind
│   │   └── SchemaMismatch       the server's schema lacks what the operation cannot do without; .coordinates
│   └── ResultError              data does not fit the result type; the message has the JSON path
├── SafetyError                  nothing was done
│   ├── Held                     a hold stands in the way, or the register cannot be read
│   ├── Kept                     an artifact version is the server's own, aliased or linked
│   ├── NotApproved              no confirmation, or not for this target
│   ├── StillLogging             the run is still being logged; the SDK would overwrite the change
│   ├── NotVisible               null may be a typo, a move or missing rights: a control failed
│   ├── UnstablePopulation       the set of runs moved while it was read
│   ├── PlanChanged              an erasure plan was changed or has expired, or what it names has changed
│   ├── CapExceeded              more would go than was allowed
│   └── Locked                   another job has the target
├── PartialError                 some was done: .done .failed, and how to go on
│   └── ResidualsLeft            all was proved absent that can be; the rest only the provider can remove
├── Paused                       a job stopped before its end, by order or for its budget; it can go on
├── NotVerified                  evidence is missing, contradicts itself, or something came back
└── StoreError                   a local file or database: damaged, locked, full, port in use
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_SECTIONS = ("config", "summary")


class WbgqlError(Exception):
    """Base of every error this package raises."""

    retryable: bool = False
    maybe_applied: bool = False
    """Whether a change was sent, and no read could tell whether the server applied it."""


class UsageError(WbgqlError, ValueError):
    """The caller asked for something that cannot be meant."""


class ConfigError(UsageError):
    """A setting is missing, malformed or contradicts another."""


class RedirectRefused(ConfigError):
    """A settings file of the current folder would send a key to `base_url`; nothing was sent.

    `key_origin` says where the key comes from.
    """

    def __init__(self, message: str, *, base_url: str, settings_file: str, key_origin: str) -> None:
        super().__init__(message)
        self.base_url = base_url
        self.settings_file = settings_file
        self.key_origin = key_origin


class FilterError(UsageError):
    """An expression or filter that the server would refuse or silently misread.

    `text` and `column` (from 0) are set where the mistake is in a text expression.
    """

    def __init__(self, message: str, *, text: str | None = None, column: int | None = None) -> None:
        self.text = text
        self.column = column
        super().__init__(_with_caret(message, text, column))


class NotFetched(UsageError):
    """An attribute or key is read that was not fetched, so that nothing is known of its value.

    It is neither an `AttributeError` nor a `KeyError`: `getattr(run, "notes", None)` must not answer None.
    """

    @classmethod
    def attribute(cls, path: object, name: str) -> NotFetched:
        """For an attribute, or a whole section, of a run that came in a list."""
        hint = f'select=[wb.{name}["key"]] or "*"' if name in _SECTIONS else f"select=[wb.run.{name}]"
        return cls(
            f"run {str(path)!r}: {name} was not fetched; list the runs with {hint}, or read this one with "
            f"client.run({str(path)!r})"
        )

    @classmethod
    def key(cls, path: object, section: str, key: object) -> NotFetched:
        """For a key of config or summary that `select` did not name."""
        return cls(
            f"run {str(path)!r}: {section}[{key!r}] was not fetched; list the runs with "
            f'select=[wb.{section}[{key!r}], ...] or "*", or read this one with client.run({str(path)!r})'
        )


class NotServed(NotFetched):
    """An attribute is read that this server's schema lacks, so that its value is not known."""

    @classmethod
    def of(cls, path: object, name: str, coordinate: str) -> NotServed:
        """For an attribute of a run, and the field that it is."""
        return cls(
            f"run {str(path)!r}: {name} is not known, because the schema of this server has no {coordinate}"
        )


class FilterWarning(UserWarning):
    """A filter that is legal but may not mean what its author thinks."""


class UnknownKeyWarning(FilterWarning):
    """Nothing matched, and no run of the project has the key. `near`: keys that look like it."""

    def __init__(self, message: str, near: Sequence[str] = ()) -> None:
        self.near = tuple(near)
        super().__init__(message)


class UnstableWarning(RuntimeWarning):
    """The runs moved while they were read: some may be missing."""


class CoverageWarning(RuntimeWarning):
    """Something that was asked for was not visible, or vanished while it was read."""


class IgnoredWarning(RuntimeWarning):
    """The server does not seem to heed a filter or an order that it was sent."""


class ErrorsWarning(RuntimeWarning):
    """The server sent errors next to data that is whole; the data was used. The message quotes the first."""


class RedirectWarning(RuntimeWarning):
    """The server answered with an object of another path: a redirect, or a name in another case."""


class ProjectionWarning(RuntimeWarning):
    """The server sends more than was asked for."""


class SampledWarning(RuntimeWarning):
    """Keys that were sampled apart: where a row lacks one, it may have been logged all the same."""


class InsecureTransportWarning(UserWarning):
    """A key is about to travel unencrypted to a host that is not this machine."""


class ExposedKeyWarning(UserWarning):
    """A private key lies in a file that others can read."""


class NotRead(UsageError, TypeError):
    """A list that is read as it is used was asked for its length, its truth value or a place in it."""


class DocumentError(WbgqlError):
    """A `.graphql` file is broken or disagrees with the SDL."""

    def __init__(self, reason: str, *, file: str | None = None, line: int | None = None) -> None:
        self.file = file
        self.line = line
        self.reason = reason
        where = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        super().__init__(f"{where}{reason}")


class RequestError(WbgqlError):
    """A request failed, or its answer could not be used.

    `errors` holds the GraphQL errors as the server sent them, `data` what came beside
    them (decoded JSON, may be partial), `status` the HTTP status where there was one. `said`: the part of the
    message that is the server's own. `attempts`: how often the request was sent before this was raised.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        status: int | None = None,
        errors: Sequence[Any] = (),
        data: Any = None,
        said: str | None = None,
    ) -> None:
        self.said = said
        self.attempts = 1
        self.operation = operation
        self.status = status
        self.errors = tuple(errors)
        self.data = data
        super().__init__(f"{operation}: {message}" if operation else message)

    @property
    def own_words(self) -> str:
        """The message without what the server said, which may name runs and people."""
        return str(self).replace(self.said, "(the server's words are left out)") if self.said else str(self)


class AuthenticationError(RequestError):
    """The API key is missing, wrong or expired."""


class PermissionDenied(RequestError):
    """The key is valid, its owner may not do this."""


class NotFound(RequestError):
    """Null where one object was asked for: missing, or not visible to this key."""

    @classmethod
    def project(cls, path: object, *, operation: str) -> NotFound:
        """For a project that answered null; the server does not tell missing from hidden."""
        return cls(
            f"no project {str(path)!r}: it does not exist, or this key cannot see it; check the spelling, "
            "the entity and the key (`wbgql whoami`)",
            operation=operation,
        )

    @classmethod
    def run(cls, path: object, *, operation: str) -> NotFound:
        """For a run that answered null inside a project that is visible."""
        return cls(
            f"no run {str(path)!r}: it was deleted, never existed, or this key cannot see it "
            "(the id is the one in the run's URL)",
            operation=operation,
        )


class RateLimited(RequestError):
    """HTTP 429, or errors that say the same. `retry_after_s`: seconds the server asked to wait, or None."""

    retryable = True

    @property
    def refused(self) -> bool:
        """Whether nothing was executed. An error with a path comes from within: a part may have been done."""
        return self.status == 429 or not any(
            "path" in error for error in self.errors if isinstance(error, dict)
        )

    def __init__(self, message: str, *, retry_after_s: float | None = None, **details: Any) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message, **details)


class ServerUnavailable(RequestError):
    """A 5xx that may pass, a timeout, a refused or broken connection.

    `timed_out`: no answer in time. `sent`: the request may have reached the server,
    so a mutation may have been applied; False only where the connection never stood. A failure of
    TLS, or a proxy that refuses, is not `retryable`: the same request would fail again.
    """

    retryable = True

    def __init__(
        self,
        message: str,
        *,
        timed_out: bool = False,
        sent: bool = True,
        passing: bool = True,
        retry_after_s: float | None = None,
        **details: Any,
    ) -> None:
        self.retryable = passing
        self.timed_out = timed_out
        self.sent = sent
        self.retry_after_s = retry_after_s
        super().__init__(message, **details)


class ResponseError(RequestError):
    """The server answered with errors of another kind."""


class SchemaMismatch(ResponseError):
    """The server's schema lacks a field, argument or type that the operation cannot do without.

    `coordinates`: which, as `Run.tags`, `Run.config(keys:)`, or the name of a type.
    """

    def __init__(self, message: str, *, coordinates: Sequence[str] = (), **details: Any) -> None:
        self.coordinates = tuple(coordinates)
        super().__init__(message, **details)


class ResultError(RequestError):
    """The data does not fit the result type; the message carries the JSON path."""


class SafetyError(WbgqlError):
    """A safeguard stopped the call; nothing was done."""


class Held(SafetyError):
    """A hold stands in the way, or the hold register cannot be read."""


class Kept(SafetyError):
    """An artifact version that is not deleted for what it is: the server's own, aliased, or linked."""


class NotApproved(SafetyError):
    """A destructive call was not confirmed, or not for this target."""


class StillLogging(SafetyError):
    """The run is still being logged: the SDK overwrites such a change when it finishes."""


class NotVisible(SafetyError):
    """Null may be a typo, a move or missing rights: the positive control failed."""


class UnstablePopulation(SafetyError):
    """The set of runs moved while it was read."""


class PlanChanged(SafetyError):
    """An erasure plan was changed or has expired, or what it names is not what it was."""


class CapExceeded(SafetyError):
    """More would go than was allowed."""


class Locked(SafetyError):
    """Another job is at work on the same target."""


class Paused(WbgqlError):
    """A job stopped before its end, by order or for its budget; the same command goes on with it."""


class NotVerified(WbgqlError):
    """Evidence is missing or contradicts itself, or something that was erased came back."""


class PartialError(WbgqlError):
    """Some of the work was done. `done` and `failed` say which; the message, how to go on."""

    def __init__(self, message: str, *, done: Sequence[Any] = (), failed: Sequence[Any] = ()) -> None:
        self.done = tuple(done)
        self.failed = tuple(failed)
        super().__init__(message)


class ResidualsLeft(PartialError):
    """All that an erasure deleted was verified as absent; what is left only the provider can remove."""


class StoreError(WbgqlError):
    """A local file or database is damaged, locked or full, or a port is in use."""


def _with_caret(message: str, text: str | None, column: int | None) -> str:
    if text is None or column is None:
        return message
    return f"{message}\n  {text}\n  {' ' * column}^"
