"""Stand-ins for the network: they record what was sent and answer what they were told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from wbgql.documents import Prepared
from wbgql.wire.transport import GqlTransport, Reply, Transport

Answer = Mapping[str, Any] | Reply | BaseException


class FakeTransport:
    """Answers in the order given: a mapping is `data`, a `Reply` is itself, an exception is raised.

    `.sent` lists (operation name, variables); running out of answers fails the test.
    """

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.closed = False

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        self.sent.append((prepared.name, dict(variables)))
        assert self._answers, f"no answer left for {prepared.name} {dict(variables)}"
        answer = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, Reply) else data_reply(answer)

    def close(self) -> None:
        self.closed = True


def data_reply(data: Any, **facts: Any) -> Reply:
    """A good answer, its data encoded as the wire has it."""
    return Reply(data=msgspec.Raw(json.dumps(data).encode()), **facts)


def error_reply(message: str, *, status: int = 200, code: str | None = None, data: Any = None) -> Reply:
    """An answer with one GraphQL error, and data beside it where given."""
    error: dict[str, Any] = {"message": message}
    if code is not None:
        error["extensions"] = {"code": code}
    raw = None if data is None else msgspec.Raw(json.dumps(data).encode())
    return Reply(status=status, errors=[error], data=raw)


def page(nodes: Sequence[Any], *, cursor: str | None = None, has_next: bool | None = None) -> dict[str, Any]:
    """A connection as JSON; there is more if `cursor` is given, unless `has_next` says otherwise."""
    more = cursor is not None if has_next is None else has_next
    return {
        "pageInfo": {"hasNextPage": more, "endCursor": cursor},
        "edges": [{"cursor": None, "node": node} for node in nodes],
    }


Rewrite = Callable[[str, Any], Any]
"""Told the operation's name and the data of an answer; returns the data to hand on, or a whole `Reply`."""


class RewritingTransport:
    """Hands requests on to a real server, and changes its answers on their way back.

    `.sent` lists (operation name, variables).
    """

    def __init__(self, inner: Transport, rewrite: Rewrite) -> None:
        self._inner = inner
        self.rewrite = rewrite
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        self.sent.append((prepared.name, dict(variables)))
        # Without its result type, the answer comes as it travelled.
        reply = self._inner.send(replace(prepared, result=msgspec.Raw), variables)
        if not isinstance(reply.data, msgspec.Raw):
            return reply
        found = self.rewrite(prepared.name, json.loads(bytes(reply.data)))
        if isinstance(found, Reply):
            return found
        return replace(reply, data=msgspec.Raw(json.dumps(found).encode()))

    def close(self) -> None:
        self._inner.close()


class FakeClock:
    """Time that passes only while somebody sleeps. `.sleeps` lists how long, each time."""

    def __init__(self) -> None:
        self.time = 0.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds


class WithoutField(GqlTransport):
    """The way to a real server that refuses each text with a field, as one that lacks it on `Run` does."""

    field = ""

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        if re.search(rf"\b{self.field}\b(?! *:)", prepared.text):
            return error_reply(f'Cannot query field "{self.field}" on type "Run".', status=400)
        return super().send(prepared, variables)
