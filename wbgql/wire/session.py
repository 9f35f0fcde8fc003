"""`execute(operation, **variables) -> its typed result`: checks, sends, repeats, decodes.

Knows no nouns. The only place that sleeps between attempts, and the only one that turns
answers into errors or results.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import NoneType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

import msgspec

from wbgql.cautions import warn
from wbgql.documents import Documents, Operation, Prepared, load_documents
from wbgql.errors import (
    AuthenticationError,
    ErrorsWarning,
    InsecureTransportWarning,
    NotFound,
    PermissionDenied,
    RateLimited,
    RequestError,
    ResponseError,
    ResultError,
    SchemaMismatch,
    ServerUnavailable,
    UsageError,
)
from wbgql.forks import renew_after_fork
from wbgql.naming import check_names
from wbgql.scalars import parse_json
from wbgql.settings import Settings, insecure_transport_warning
from wbgql.wire.connection import DEADLINE_EXCEEDED, MIN_PAGE_SIZE, Changes, may_be_too_large
from wbgql.wire.http_failures import proxy_refusal
from wbgql.wire.retry import RetryPolicy, parse_retry_after
from wbgql.wire.transport import GqlTransport, Reply, Transport

if TYPE_CHECKING:
    from wbgql.documents.tailoring import Variants

T = TypeVar("T")

OnRetry = Callable[[RequestError, int, float], object]
"""Told before each wait: the error, the attempt that failed (from 1), the seconds to wait."""

# What stands before the server says so: it is overloaded, starts again or does not answer.
_PASSING = frozenset({408, 502, 503, 504, *range(520, 530)})

# Other answers of 500 and above are the server's own fault, which mostly passes, or that of the request (a
# filter that the server fails on): a read is repeated at most twice, within five seconds.
# Source: wandb/wandb issues 5372, 4694, 7267 (500s that passed) and 6435 (one that did not), 2024 to 2026.
_FAULT_RETRIES = 2
_FAULT_RETRIES_WITHIN_S = 5.0
_NOT_A_FAULT = 501

# A request that is wrong, whatever the status; the same one would fail again.
_INVALID_CODES = frozenset({"GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"})
_INVALID = re.compile(
    r"Cannot query field|Unknown (argument|type|directive|fragment)|Variable \"|Syntax Error"
)

_RATE_CODES = frozenset({"RATE_LIMITED", "RATE_LIMIT_EXCEEDED", "TOO_MANY_REQUESTS"})
_RATE_WORDS = re.compile(r"(\S+ ){0,3}rate[- ]limit(ed\b| exceeded)|too many requests", re.IGNORECASE)

_KINDS: dict[int, type[RequestError]] = {
    401: AuthenticationError,
    403: PermissionDenied,
    404: NotFound,
    429: RateLimited,
}


@dataclass(slots=True)
class Stats:
    """Running counters of a session. `requests` counts every attempt, `retries` those after the first.

    Bytes are those of bodies, the answers' as they travelled (compressed, if they were). `wait_s`: the
    shortest time in which an answer began, None before the first: what the way to the server costs.
    """

    requests: int = 0
    retries: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    wait_s: float | None = None


class Session:
    """Executes operations over one transport. Several threads may share it.

    Queries are repeated on 429, 502, 503, 504, timeouts and broken connections, as the policy says, and
    at most twice on a 500. A mutation is repeated on 429, which refused it, if the connection never stood,
    and if its operation is `repeatable`. A mutation that destroys is repeated on 429 only by
    `execute_guarded`. `now` is Unix time, for dates in headers. `changes` counts the mutations, which lists
    of this session take into account.

    `missing`: what the server's schema was found to lack, as `Run.storageBytes` or `Run.config(keys:)`.
    Operations that can do without (`@optional`) are sent without; their results hold `NOT_FETCHED` there.
    `address`: the server's, for messages. `clock` (monotonic) and `sleep` are also those of callers that
    wait before they read again, because replicas lag.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        documents: Documents | None = None,
        policy: RetryPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], object] = time.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
        on_retry: OnRetry | None = None,
        changes: Changes | None = None,
        missing: set[str] | None = None,
        address: str | None = None,
    ) -> None:
        self.stats = Stats()
        self.missing: set[str] = set() if missing is None else missing
        self.address = address
        self.changes = changes or Changes()
        self._transport = transport
        self._documents = load_documents() if documents is None else documents
        self._policy = policy or RetryPolicy()
        self.clock = clock
        self._now = now
        self.sleep = sleep
        self._uniform = uniform
        self.on_retry = on_retry
        self._decides = False
        self._counting = threading.Lock()
        self._closed = False
        renew_after_fork(self)

    @classmethod
    def open(cls, settings: Settings, documents: Documents | None = None, **options: Any) -> Self:
        """Return a session to the server that `settings` names. Sends nothing yet.

        `options` are the constructor's. Warns where the key will travel unencrypted to another machine.

        Raises:
            AuthenticationError: there is no API key and no identity token.
        """
        if settings.identity_token_file is None:
            settings.require_api_key()
        warning = insecure_transport_warning(settings)
        if warning is not None:
            warn(warning, InsecureTransportWarning)
        return cls(GqlTransport(settings), documents=documents, address=settings.base_url, **options)

    def through(self, wrap: Callable[[Transport], Transport], **options: Any) -> Session:
        """Return a session whose requests go through what `wrap` makes of this one's transport.

        For a job that paces its requests. `options` are the constructor's; documents, clock and sleep stay
        the same. Closing either closes the connection of both.
        """
        same = {"clock": self.clock, "sleep": self.sleep}
        return Session(
            wrap(self._transport),
            documents=self._documents,
            changes=self.changes,
            missing=self.missing,
            address=self.address,
            **same | options,
        )

    def execute(self, operation: Operation[T], /, **variables: Any) -> T:
        """Send an operation and return its decoded data. One request, unless repeated.

        Once per session and part, one more request if the server's schema lacks an `@optional` part.

        Raises:
            UsageError: an unknown, missing or unencodable variable; nothing was sent.
            DocumentError: no such operation.
            SchemaMismatch: the server's schema lacks what the operation cannot do without.
            RequestError: one of its kinds; `.errors` and `.data` hold what did come.
        """
        return self.execute_prepared(operation, self._documents.get(operation.name), variables)

    def execute_once(self, operation: Operation[T], /, **variables: Any) -> T:
        """As `execute`, but never repeated: for a question whose failure is an answer."""
        prepared = self._documents.get(operation.name)
        return self.execute_prepared(operation, prepared, variables, attempts=1)

    def execute_guarded(self, operation: Operation[T], guard: Callable[[], object], /, **variables: Any) -> T:
        """As `execute`, but call `guard` right before each attempt; what it raises ends the call.

        Only so is an operation that destroys sent again after HTTP 429: what forbids it now is seen.
        """
        return self.execute_prepared(operation, self._documents.get(operation.name), variables, guard=guard)

    def execute_prepared(
        self,
        operation: Operation[T],
        prepared: Prepared,
        variables: Mapping[str, Any],
        *,
        guard: Callable[[], object] | None = None,
        attempts: int | None = None,
    ) -> T:
        """As `execute`, for a text that is not among this session's documents.

        `attempts`: how often it is sent at most; None leaves that to the policy.
        """
        if self._closed:
            raise UsageError(f"{operation.name}: the session is closed")
        check_variables(prepared, variables)
        if prepared.kind == "mutation":
            self.changes.note()
        try:
            result = self._decode(operation, self._ask(operation, prepared, variables, guard, attempts))
        finally:
            if prepared.kind == "mutation":
                self.changes.note()
        check_names(operation, prepared, variables, result)
        return result

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """Within this block every answer that carries errors is an error, also if its data is whole."""
        before, self._decides = self._decides, True
        try:
            yield
        finally:
            self._decides = before

    def close(self) -> None:
        """Close the transport. May be called twice."""
        self._closed = True
        self._transport.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a session holds a connection and a key and is not pickled, nor is what reads through it (a "
            "client, a selection): make a client in each process, and hand over ids or a list of runs"
        )

    def after_fork(self) -> None:
        """Replace the lock, which another thread may have held. Called in a forked process."""
        self._counting = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(
        self,
        operation: Operation[Any],
        prepared: Prepared,
        variables: Mapping[str, Any],
        guard: Callable[[], object] | None,
        attempts: int | None,
    ) -> Reply:
        """Send an operation, and send it again without the optional parts the server lacks or fails on."""
        while True:
            without = frozenset(self.missing)
            fitted = replace(prepared.fitted(variables, without), result=operation.result)
            try:
                return self._send(operation, fitted, variables, guard, attempts)
            except ResponseError as error:
                if prepared.variants is None:
                    raise
                if error.data is not None:
                    failing = _optional_parts(prepared.variants, error)
                    if not failing or failing <= without:
                        raise
                    self.missing.update(failing)
                    warn(
                        f"{operation.name}: the server fails on {', '.join(sorted(failing))}, which is left "
                        f"out from now on and not known: {error.said or error}",
                        ErrorsWarning,
                    )
                    continue
                said = [str(each.get("message")) for each in error.errors if isinstance(each, dict)]
                lacks = prepared.variants.lacks(said)
                if lacks is not None and (lacks.needed or prepared.kind == "mutation"):
                    needed = sorted(lacks.needed or lacks.optional)
                    raise self._mismatch(prepared, error, needed) from error
                # What was left out already cannot be what the server refuses now.
                if lacks is None or lacks.optional <= without:
                    raise
                self.missing.update(lacks.optional)

    def _mismatch(self, prepared: Prepared, error: ResponseError, lacking: list[str]) -> SchemaMismatch:
        server = f"the server at {self.address}" if self.address else "this server"
        changes = prepared.kind == "mutation"
        purpose = (
            f"; what cannot be {'done' if changes else 'read'}: {prepared.about}" if prepared.about else ""
        )
        purpose += "; nothing was changed" if changes else ""
        return SchemaMismatch(
            f"the schema of {server} has no {', no '.join(lacking)}, which this operation cannot do without"
            f"{purpose}; the server said: {error.said}",
            coordinates=lacking,
            operation=prepared.name,
            status=error.status,
            errors=error.errors,
            said=error.said,
        )

    def _send(
        self,
        operation: Operation[Any],
        prepared: Prepared,
        variables: Mapping[str, Any],
        guard: Callable[[], object] | None,
        attempts: int | None,
    ) -> Reply:
        started = self.clock()
        attempt = 1
        while True:
            if guard is not None:
                guard()
            try:
                return self._send_once(operation, prepared, variables)
            except RequestError as error:
                error.attempts = attempt
                if attempt == attempts or (_is_fault(error.status) and attempt > _FAULT_RETRIES):
                    raise
                if not _may_repeat(operation, prepared, variables, error, guarded=guard is not None):
                    raise
                elapsed = self.clock() - started
                delay = self._policy.delay_s(error, attempt, elapsed, self._uniform)
                if delay is None or (_is_fault(error.status) and elapsed + delay > _FAULT_RETRIES_WITHIN_S):
                    raise
                if self.on_retry is not None:
                    self.on_retry(error, attempt, delay)
            self.sleep(delay)
            self._count(retries=1)
            attempt += 1

    def _send_once(
        self, operation: Operation[Any], prepared: Prepared, variables: Mapping[str, Any]
    ) -> Reply:
        self._count(requests=1)
        reply = self._transport.send(prepared, variables)
        self._count(bytes_sent=reply.bytes_sent, bytes_received=reply.bytes_received)
        if reply.wait_s is not None:
            self.stats.wait_s = min(reply.wait_s, self.stats.wait_s or reply.wait_s)
        error = make_request_error(prepared.name, reply, now=self._now())
        if error is None:
            return reply
        if operation.informs and not self._decides and self._is_whole(operation, reply, error):
            warn(
                f"{operation.name}: the server reports an error next to data that is whole, which is used: "
                f"{error.said or error}",
                ErrorsWarning,
            )
            return replace(reply, errors=None)
        raise error

    def _is_whole(self, operation: Operation[Any], reply: Reply, error: RequestError) -> bool:
        """Whether the data next to errors has all that was asked for."""
        if type(error) is not ResponseError or reply.status != 200 or error.data is None:
            return False
        try:
            self._decode(operation, reply)
        except ResultError:
            return False
        if _has_null_row(error.data):
            return False
        return not any(_leads_to_null(error.data, each.get("path")) for each in error.errors)

    def _decode(self, operation: Operation[T], reply: Reply) -> T:
        if not isinstance(reply.data, (msgspec.Raw, NoneType)):
            decoded: T = reply.data
            return decoded
        try:
            result: T = msgspec.json.decode(
                b"null" if reply.data is None else reply.data, type=operation.result
            )
        except (msgspec.DecodeError, RecursionError) as error:
            reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise ResultError(
                f"the answer does not fit its type: {reason[:1].lower()}{reason[1:]}",
                operation=operation.name,
                status=reply.status,
                data=_partial(reply),
            ) from error
        return result

    def _count(self, **more: int) -> None:
        with self._counting:
            for name, number in more.items():
                setattr(self.stats, name, getattr(self.stats, name) + number)


def _optional_parts(variants: Variants, error: ResponseError) -> frozenset[str]:
    """The optional parts that the errors of an answer are about; none if one is about something else."""
    found: set[str] = set()
    for each in error.errors:
        path = each.get("path") if isinstance(each, dict) else None
        part = variants.optional_at(path) if isinstance(path, list) else None
        if part is None:
            return frozenset()
        found.add(part)
    return frozenset(found)


def _leads_to_null(data: Any, path: Any) -> bool:
    """Whether the path of a GraphQL error ends at a null, or where nothing can be said."""
    for step in path if isinstance(path, list) else ():
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return True
        if data is None:
            return True
    return False


def _has_null_row(data: Any) -> bool:
    """Whether a list in an answer has a row that came as null, which the errors may be about."""
    if isinstance(data, list):
        return any(map(_has_null_row, data))
    if not isinstance(data, dict):
        return False
    edges = data.get("edges")
    if isinstance(edges, list) and any(not isinstance(one, dict) or one.get("node") is None for one in edges):
        return True
    return any(map(_has_null_row, data.values()))


def check_variables(prepared: Prepared, variables: Mapping[str, Any]) -> None:
    """Check variables against what an operation declares, before anything is sent.

    Values are not checked against their types: the server does that and says so better.

    Raises:
        UsageError: an unknown name, a required one missing or None, or a value that JSON
            cannot hold (NaN among them: it would arrive as null, or not at all).
    """
    if unknown := sorted(variables.keys() - prepared.variables.keys()):
        declared = ", ".join(f"${name}" for name in prepared.variables) or "none"
        raise UsageError(f"{prepared.name}: no variable {unknown[0]!r}, declared: {declared}")
    for declared_variable in prepared.variables.values():
        if declared_variable.required and variables.get(declared_variable.name) is None:
            raise UsageError(
                f"{prepared.name}: ${declared_variable.name}: {declared_variable.type} must be given"
            )
    if _not_json(dict(variables)) is None:
        return
    for name, value in variables.items():
        if error := _not_json(value):
            raise UsageError(f"{prepared.name}: ${name} cannot be sent as JSON: {error}") from error


def _not_json(value: Any) -> Exception | None:
    """Why JSON cannot hold a value, or None."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        return error
    return None


def make_request_error(operation: str, reply: Reply, *, now: float = 0.0) -> RequestError | None:
    """Return the error an answer stands for, or None where it is a good one. Pure.

    The kind follows from the status and from the errors' `extensions.code`, whichever says
    more: W&B answers GraphQL errors with 200 or with a status of their own. A 404 that is
    no GraphQL answer is a ResponseError: the address is wrong, nothing is known of the object.

    Source: observed answers in wandb/wandb issues 8609, 8800, 5339, 4948 (2020 to 2026).
    """
    if reply.status < 300 and not reply.errors and reply.text is None:
        return None
    message, said = _message(reply)
    details: dict[str, Any] = {
        "operation": operation,
        "status": reply.status,
        "errors": reply.errors or (),
        "data": _partial(reply),
        "said": said,
    }
    kind = _kind(reply, message)
    if kind is AuthenticationError:
        message += "; check WANDB_API_KEY or run `wandb login`"
    if kind in (RateLimited, ServerUnavailable):
        details["retry_after_s"] = wait_s = parse_retry_after(reply.headers, now)
        message += "" if wait_s is None else f"; the server asks to wait {wait_s:g} s"
    if reply.status == 404 and _partial(reply) is None and not any(map(_code, reply.errors or ())):
        message += "; is base_url right?"
    return kind(message, **details)


def _is_fault(status: int | None) -> bool:
    """Whether the server itself failed, rather than what stands before it."""
    return status is not None and status >= 500 and status != _NOT_A_FAULT and status not in _PASSING


def _kind(reply: Reply, message: str) -> type[RequestError]:
    codes = {code for error in reply.errors or () if (code := _code(error))}
    if "UNAUTHENTICATED" in codes or "not logged in" in message:
        return AuthenticationError
    if _says_rate_limited(reply):
        return RateLimited
    if reply.status in _PASSING:
        return ServerUnavailable
    if codes & {"PERMISSION_ERROR", "FORBIDDEN"}:
        return PermissionDenied
    if "NOT_FOUND" in codes:
        return NotFound
    if codes & _INVALID_CODES or _INVALID.search(message):
        return ResponseError
    if _is_fault(reply.status) or (DEADLINE_EXCEEDED in message and _partial(reply) is None):
        return ServerUnavailable
    if reply.status == 404 and not reply.errors:
        return ResponseError  # a wrong address, not a missing object: nobody may take it for one
    return _KINDS.get(reply.status, ResponseError)


def _says_rate_limited(reply: Reply) -> bool:
    """Whether the errors refuse the whole request for its rate, whatever the status.

    Source: an answer `{"errors":[{"message":"rate limit exceeded..."}]}` with another status than 429 in
    public reports (2026-11).
    """
    if _partial(reply) is not None:
        return False
    errors = [error for error in reply.errors or () if isinstance(error, dict)]
    return any(
        _code(error) in _RATE_CODES or _RATE_WORDS.match(str(error.get("message", ""))) for error in errors
    )


def _may_repeat(
    operation: Operation[Any],
    prepared: Prepared,
    variables: Mapping[str, Any],
    error: RequestError,
    *,
    guarded: bool,
) -> bool:
    if not error.retryable:
        return False
    unavailable = error if isinstance(error, ServerUnavailable) else None
    if prepared.kind == "mutation" and not operation.repeatable:
        if isinstance(error, RateLimited) and error.refused:  # so it cannot have been applied
            return guarded or not operation.destructive
        return unavailable is not None and not unavailable.sent
    first = variables.get("first")
    if operation.paged and isinstance(first, int) and first > MIN_PAGE_SIZE and unavailable is not None:
        # The paging loop asks again for half: repeating the same page would fail the same way.
        return not may_be_too_large(unavailable)
    return True


def _message(reply: Reply) -> tuple[str, str | None]:
    """What to say, with the status where it is not GraphQL's; and the part of it that the server said."""
    messages = [str(error.get("message", error)) for error in reply.errors or () if isinstance(error, dict)]
    if messages:
        said = "; ".join(dict.fromkeys(messages))
        return said + ("" if reply.status == 200 else f" (HTTP {reply.status})"), said
    if location := reply.headers.get("location"):
        where = location.split("?")[0].split("#")[0].rstrip("/")  # a sign-in page has secrets in its query
        if "://" in where and (where.endswith("/graphql") or where.count("/") == 2):
            base_url = where.removesuffix("/graphql")
            return f"HTTP {reply.status}: the server lives elsewhere, set base_url to {base_url!r}", None
        return (
            f"HTTP {reply.status} to {where!r}, which is no GraphQL endpoint: base_url is wrong, or a "
            "sign-in page stands before the server"
        ), None
    if reply.status == 407:
        return str(proxy_refusal("the server")), None
    text = repr(reply.text) if reply.text else None
    asked = "; is base_url a W&B server?" if reply.status < 300 else ""
    return f"HTTP {reply.status}, not a GraphQL answer{f': {text}' if text else ''}{asked}", text


def _code(error: Any) -> str | None:
    extensions = error.get("extensions") if isinstance(error, dict) else None
    code = extensions.get("code") if isinstance(extensions, dict) else None
    return code if isinstance(code, str) else None


def _partial(reply: Reply) -> Any:
    return None if reply.data is None else parse_json(bytes(reply.data))
