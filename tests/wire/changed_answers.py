"""Changes the answers that a command reads, one thing at a time, and says what becomes of it.

The answers of a plain run are recorded. Each further run gets them again with one change.

    python -m tests.wire.changed_answers [COMMAND...]

prints how many changes ended how, and those that ended badly.
"""

from __future__ import annotations

import copy
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec

from tests.bulk import FIRST_INSTANT, BulkRun, write_runs
from tests.cli.conftest import Command, Outcome
from tests.fakes import FakeClock
from tests.stored import World
from wbgql.cli.shared import exit_codes
from wbgql.documents import Prepared
from wbgql.safety.holds import HoldRegister
from wbgql.server import RunningServer, start
from wbgql.settings import Settings
from wbgql.wire.transport import GqlTransport, Reply, Transport

Place = tuple[str | int, ...]
Key = tuple[str, str, str]
"""An operation, its text and its variables."""
Change = Callable[[Any], Any]

ACC, LR = 'summary["acc"]', 'config["lr"]'
COMMANDS = {
    "whoami": ("whoami",),
    "projects list": ("projects", "list", "admin", "--json"),
    "fields": ("fields", "{path}", "--json"),
    "runs list": ("runs", "list", "{path}", "--json"),
    "runs list --where": ("runs", "list", "{path}", "--where", f"{ACC} > 0", "--order", f"-{ACC}", "--json"),
    "runs list --select": ("runs", "list", "{path}", "--select", ACC, "--select", LR, "--format", "csv"),
    "runs list --select *": ("runs", "list", "{path}", "--select", "*", "--stable", "--json"),
    "runs count": ("runs", "count", "{path}", "--where", f"{ACC} > 0"),
    "runs explain": ("runs", "explain", "{path}", "--where", f"{ACC} > 0"),
    "runs show": ("runs", "show", "{path}/r1", "--json"),
    "runs stats": ("runs", "stats", "{path}", "--by", LR, "--of", ACC, "--json"),
    "runs best": ("runs", "best", "{path}", "--by", LR, "--metric", ACC, "--json"),
    "runs latest": ("runs", "latest", "{path}", "--by", LR, "--json"),
    "runs export": ("runs", "export", "{path}", "--select", "*", "--format", "jsonl", "--to", "{folder}"),
    "runs update": ("runs", "update", "{path}/r1", "--notes", "seen", "--dry-run"),
    "runs update --set-config": ("runs", "update", "{path}/r1", "--set-config", "lr=0.2", "--dry-run"),
    "erase plan": (
        "erase", "plan", "{path}", "--where", f"{ACC} > 0.25", "--request", "R-1", "--basis", "gdpr-17",
        "--max-percent", "100", "-o", "{folder}/plan.json", "--format", "json",
    ),
    "runs delete": ("runs", "delete", "{path}/r1", "{path}/r2"),
    "history": ("history", "{path}/r1", "--key", "loss", "--json"),
    "history --all": ("history", "{path}", "--all", "--json"),
    "logs": ("logs", "{path}/r1"),
    "system": ("system", "{path}/r1", "--json"),
    "files list": ("files", "list", "{path}/r1", "--json"),
    "files delete": ("files", "delete", "{path}/r1", "plot.png"),
    "artifacts list": ("artifacts", "list", "{path}", "--json"),
    "artifacts show": ("artifacts", "show", "{path}/net:v0", "--json"),
    "artifacts files": ("artifacts", "files", "{path}/net:v0", "--json"),
    "artifacts lineage": ("artifacts", "lineage", "{path}/net:v0", "--json"),
    "artifacts orphans": ("artifacts", "orphans", "{path}", "--json"),
    "artifacts delete": ("artifacts", "delete", "{path}/net:v0"),
    "storage": ("storage", "{path}", "--json"),
}  # fmt: skip

ODD: dict[str, Change] = {
    "null": lambda _: None,
    "empty text": lambda _: "",
    "text": lambda _: "null",
    "not JSON": lambda _: "{oops",
    "negative": lambda _: -1,
    "huge": lambda _: 10**400,
    "true": lambda _: True,
    "list": lambda _: [],
    "object": lambda _: {},
    "reordered": lambda value: value[::-1] if isinstance(value, list) else value,
    "repeated": lambda value: [*value, *value] if isinstance(value, list) else value,
    "extra field": lambda value: {**value, "notInTheSchema": 1} if isinstance(value, dict) else value,
    "first item only": lambda value: value[:1] if isinstance(value, list) else value,
    "as text": lambda value: str(value) if isinstance(value, int) else value,
    "other text": lambda value: f"{value}-other" if isinstance(value, str) else value,
    "far time": lambda value: (
        "9999-12-31T23:59:59Z" if isinstance(value, str) and value[4:5] == "-" else value
    ),
}
ENVELOPES: dict[str, Callable[[Reply], Reply]] = {
    "data is null": lambda reply: replace(reply, data=None),
    "data is null, and an error": lambda reply: replace(reply, data=None, errors=[{"message": "trouble"}]),
    "errors without words": lambda reply: replace(reply, errors=[{}]),
    "an error about the first field": lambda reply: replace(
        reply, errors=[{"message": "trouble", "path": [next(iter(json.loads(bytes(reply.data))))]}]
    ),
    "HTTP 500 next to data": lambda reply: replace(reply, status=500, errors=[{"message": "trouble"}]),
    "HTTP 502, no GraphQL": lambda reply: Reply(status=502, text="<html>bad gateway</html>"),
    "HTTP 200, a sign-in page": lambda reply: Reply(status=200, text="<html>sign in</html>"),
    "HTTP 204, empty": lambda _: Reply(status=204, text=""),
    "HTTP 302": lambda _: Reply(status=302, text="", headers={"location": "https://sign-in.example/"}),
    "HTTP 429 for ever": lambda _: Reply(status=429, text="", headers={"retry-after": "1"}),
}


@dataclass
class Replay(Transport):
    """Gives recorded answers again, with one change; asks `server` what was not recorded."""

    server: Transport
    recorded: dict[Key, Reply] = field(default_factory=dict)
    change: tuple[Key, Place, Change | None] | None = None
    envelope: tuple[Key, Callable[[Reply], Reply]] | None = None
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        self.sent.append((prepared.name, dict(variables)))
        key = (prepared.name, prepared.text, json.dumps(dict(variables), sort_keys=True, default=str))
        if key not in self.recorded:
            reply = self.server.send(replace(prepared, result=msgspec.Raw), variables)
            if self.change is not None or self.envelope is not None:
                return reply
            self.recorded[key] = reply
        reply = self.recorded[key]
        if self.envelope is not None:
            return self.envelope[1](reply) if self.envelope[0] == key else reply
        if self.change is None or self.change[0] != key or not isinstance(reply.data, msgspec.Raw):
            return reply
        data = changed(json.loads(bytes(reply.data)), *self.change[1:])
        return replace(reply, data=msgspec.Raw(json.dumps(data).encode()))

    def close(self) -> None:
        """Keep what was recorded for the next run."""


def changed(data: Any, place: Place, change: Change | None) -> Any:
    """A copy of an answer with one value changed at the first place of its kind, or left out (None)."""
    data = copy.deepcopy(data)
    holder = data
    try:
        for step in place[:-1]:
            holder = holder[step]
        if change is None:
            del holder[place[-1]]
        else:
            holder[place[-1]] = change(holder[place[-1]])
    except (KeyError, IndexError, TypeError):
        return data
    return data


# Look-ups of many runs ask for r0, r1, r2 and so on: one stands for all.
_ANOTHER_ALIAS = re.compile(r"[rv][1-9][0-9]*")


def places(data: Any, at: Place = ()) -> Iterator[Place]:
    """Every place of an answer; of a list its first item stands for all."""
    if at:
        yield at
    if isinstance(data, dict):
        for name, value in data.items():
            if not _ANOTHER_ALIAS.fullmatch(name):
                yield from places(value, (*at, name))
    elif isinstance(data, list) and data:
        yield from places(data[0], (*at, 0))


def make_project(server: RunningServer) -> str:
    """A project with three runs, their rows, lines, measures and files, and a version of an artifact."""
    world = World(server)
    world.run("r0")
    write_runs(server.data, world.project, [_run(number) for number in (1, 2, 3)])
    world.store("r1", {"plot.png": b"png"})
    world.use(world.log("net", {"model.pt": b"weights"}, metadata={"acc": 1}), "r1")
    return world.path


def _run(number: int) -> BulkRun:
    at = FIRST_INSTANT + timedelta(minutes=number)
    return BulkRun(
        name=f"r{number}",
        created_at=at,
        tags=("keep",),
        config={"lr": 0.1},
        summary={"acc": number / 10, "loss": 1.0},
        history=[{"_step": step, "loss": 1 / (1 + step)} for step in range(3)],
        events=[{"_runtime": 1, "system.cpu": 3.0}],
        console=["2026-01-01T00:00:00 hello"],
    )


Ending = Literal[
    "the same",
    "shown as given",
    "warned",
    "clear error",
    "fewer rows",
    "empty",
    "more rows",
    "internal error",
]
BAD: tuple[Ending, ...] = ("fewer rows", "empty", "internal error")
"""Endings that nobody may have: rows lost without a word, and errors of our own.

Rows that the server gives twice are given twice where nothing identifies them (lines, rows of a history).
"""
BELIEVED = re.compile("fields: ListFields.*'edges'|logs: ListConsoleLines.*'edges'")
"""Lists that carry no count, so that a shorter one cannot be told from a whole one."""


@dataclass(frozen=True)
class Try:
    """One change, and how the command ended."""

    where: str
    kind: str
    ending: Ending
    said: str


def ending_of(plain: Outcome, outcome: Outcome) -> Ending:
    """How a command ended whose answers were changed."""
    if "internal error" in outcome.err or "Traceback" in outcome.err:
        return "internal error"
    if outcome.code != exit_codes.OK:
        return "clear error"
    if outcome.out == plain.out:
        return "the same"
    if outcome.err != plain.err:
        return "warned"
    if plain.out.startswith("{"):
        return "shown as given"  # one object, of which a part is another now
    rows, before = len(outcome.out.splitlines()), len(plain.out.splitlines())
    if rows < before:
        return "fewer rows" if outcome.out.strip(" []{}\n") else "empty"
    return "more rows" if rows > before else "shown as given"


def try_changes(
    name: str,
    project: str,
    server: RunningServer,
    folder: Path,
    kinds: Mapping[str, Change | None],
    envelopes: Mapping[str, Callable[[Reply], Reply]],
) -> Iterator[Try]:
    """Run a command once for each change of each kind at each place of each answer."""
    settings = Settings(base_url=server.base_url, api_key=server.api_key)
    replay = Replay(GqlTransport(settings))
    tries = iter(range(10**9))
    HoldRegister(folder / "holds.json").create()

    def run() -> Outcome:
        out = folder / f"out{next(tries)}"
        out.mkdir()
        command = Command(folder, {"WBGQL_STATE": str(out)}, server=replay, clock=FakeClock())
        outcome = command(*(part.format(path=project, folder=out) for part in COMMANDS[name]))
        outcome.out, outcome.err = (text.replace(str(out), "OUT") for text in (outcome.out, outcome.err))
        return outcome

    plain = run()
    assert plain.code == exit_codes.OK, plain.err
    seen: set[tuple[str, Place]] = set()
    for key, reply in list(replay.recorded.items()):
        called = key[0]
        for place in places(json.loads(bytes(reply.data))):
            if (called, place) in seen:
                continue
            seen.add((called, place))
            for kind, change in kinds.items():
                if change is not None and unchanged(reply, place, change):
                    continue
                replay.change = (key, place, change)
                outcome = run()
                yield Try(f"{name}: {called}{list(place)}", kind, ending_of(plain, outcome), outcome.err)
        replay.change = None
        for kind, envelope in envelopes.items():
            replay.envelope = (key, envelope)
            outcome = run()
            yield Try(f"{name}: {called}", kind, ending_of(plain, outcome), outcome.err)
        replay.envelope = None


def unchanged(reply: Reply, place: Place, change: Change) -> bool:
    """Whether a change leaves an answer as it is."""
    data = json.loads(bytes(reply.data))
    return bool(changed(data, place, change) == data)


def main(names: list[str]) -> None:
    """Print the table of endings."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, start(Path(folder) / "store") as server:
        project = make_project(server)
        for name in names or COMMANDS:
            for one in try_changes(
                name, project, server, Path(tempfile.mkdtemp(dir=folder)), {**ODD, "missing": None}, ENVELOPES
            ):
                counts[one.ending] += 1
                if one.ending in BAD:
                    print(f"{one.ending}: {one.where} {one.kind}: {one.said.strip()[-200:]}", flush=True)
            print(f"{name}: {dict(counts)}", file=sys.stderr, flush=True)
    print(f"{sum(counts.values())} changes over {len(names or COMMANDS)} commands")
    for ending, count in counts.most_common():
        print(f"{count:7} {ending}")


if __name__ == "__main__":
    main(sys.argv[1:])
