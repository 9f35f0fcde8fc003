"""Replays pages that are encoded already, so that what is measured is the client's own cost.

Listens on one port for each kind of server: one that takes `keys` and one that does not, answering at
once or after a wait. Prints the ports as JSON and serves until its input closes.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
import sys
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from bench.runs import ENTITY, RUNS, Edges, fields, to_cursor

LATENCY_S = 0.05
KINDS = {
    "keys": (True, 0.0),
    "keys+50ms": (True, LATENCY_S),
    "whole": (False, 0.0),
    "whole+50ms": (False, LATENCY_S),
}

_REFUSED = msgspec.json.encode(
    {
        "errors": [
            {"message": f'Unknown argument "keys" on field "{field}" of type "Run".'}
            for field in ("config", "summaryMetrics")
        ],
        "data": None,
    }
)
_USER = {
    "id": "VXNlcjox",
    "name": "Ann",
    "username": "ann",
    "email": "ann@localhost",
    "entity": ENTITY,
    "admin": False,
}


class Request(msgspec.Struct):
    """A GraphQL request as clients send it."""

    query: str
    variables: dict[str, Any] | None = None
    operationName: str | None = None  # noqa: N815 - GraphQL's word


@dataclass
class Replay:
    """Answers GraphQL requests from encoded edges; pages are put together once and kept."""

    edges: Edges
    pages: dict[tuple[str, int, int], bytes]
    listing: bytes

    def answer(self, request: Request, takes_keys: bool) -> tuple[int, bytes]:
        """The status and body for one request."""
        variables = request.variables or {}
        name = request.operationName or _name_in(request.query)
        if name == "ListRuns":
            # The client sends only what it asks for, so the text says what that is.
            if not takes_keys and "(keys:" in request.query:
                return 400, _REFUSED
            kind = "keys" if variables.get("configKeys") or variables.get("summaryKeys") else "whole"
            return 200, self.page(kind + "_parts" * ("...RunParts" in request.query), variables)
        if name == "Runs":
            lazy = "LightweightRunFragment" in request.query
            return 200, self.page("light" if lazy else "full", variables)
        if name == "FloorRuns":
            return 200, self.page("full", variables)
        if name == "ListFields":
            return 200, self.listing
        if name == "CountRuns":
            return 200, b'{"data":{"project":{"runCount":%d}}}' % self.edges.count
        if name == "Run":
            return (
                200,
                b'{"data":{"project":{"internalId":"7","readOnly":false,"run":%s}}}'
                % self.edges.nodes[variables["name"]],
            )
        return 200, _small_answer(request.query)

    def page(self, kind: str, variables: dict[str, Any]) -> bytes:
        """One page of runs, by offset."""
        first = variables.get("first") or variables.get("perPage") or 50
        after = variables.get("after") or variables.get("cursor")
        start = 0 if after is None else self._offset(after) + 1
        key = (kind, start, first)
        if key not in self.pages:
            self.pages[key] = self._make_page(kind, start, first)
        if variables.get("withTotal"):
            total = b'"runs":{"totalCount":%d,' % self.edges.count
            return self.pages[key].replace(b'"runs":{', total, 1)
        return self.pages[key]

    def _make_page(self, kind: str, start: int, first: int) -> bytes:
        edges: list[bytes] = getattr(self.edges, kind)[start : start + first]
        last = start + len(edges) - 1
        more = json.dumps({"hasNextPage": last + 1 < self.edges.count, "endCursor": to_cursor(last)})
        return (
            b'{"data":{"project":{"internalId":"7","readOnly":false,"runCount":%d,"runs":{"pageInfo":%s,"edges":[%s]}}}}'
            % (self.edges.count, more.encode(), b",".join(edges))
        )

    def _offset(self, cursor: str) -> int:
        return int(base64.b64decode(cursor).rpartition(b":")[2])


def _small_answer(query: str) -> bytes:
    """What the SDK asks at start: who it is."""
    viewer = _USER | {"teams": {"edges": []}, "flags": "{}"}
    return msgspec.json.encode({"data": {"viewer": viewer} if "viewer" in query else {}})


def _name_in(query: str) -> str:
    found = re.search(r"\bquery\s+(\w+)", query)
    return found[1] if found else ""


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, as much of it as three clients need."""

    def __init__(self, replay: Replay, takes_keys: bool, latency_s: float, log: bool) -> None:
        self._replay = replay
        self._takes_keys = takes_keys
        self._latency_s = latency_s
        self._log = log
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        length = int(lengths[0].partition(b":")[2]) if lengths else 0
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        if self._latency_s:
            asyncio.get_running_loop().call_later(self._latency_s, self._respond, rest[:length])
        else:
            self._respond(rest[:length])

    def _respond(self, body: bytes) -> None:
        request = msgspec.json.decode(body, type=Request) if body else Request("")
        status, answer = self._replay.answer(request, self._takes_keys)
        if self._log:
            print(request.operationName or request.query[:60], request.variables, file=sys.stderr, flush=True)
        assert self._transport is not None
        self._transport.write(
            b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % (status, len(answer))
        )
        self._transport.write(answer)


async def serve(count: int, log: bool) -> None:
    """Serve until standard input closes."""
    edges = Edges(count)
    listed = [{"cursor": None, "node": field} for field in fields()]
    page = {"pageInfo": {"hasNextPage": False, "endCursor": None}, "edges": listed}
    replay = Replay(edges, {}, msgspec.json.encode({"data": {"project": {"fields": page}}}))
    loop = asyncio.get_running_loop()
    ports = {}
    for kind, (takes_keys, latency_s) in KINDS.items():
        make = partial(Connection, replay, takes_keys, latency_s, log)
        server = await loop.create_server(make, "127.0.0.1", 0)
        ports[kind] = server.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS, "--log" in sys.argv))
