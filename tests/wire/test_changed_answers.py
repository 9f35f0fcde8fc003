"""One thing at a time is changed in the answers that a command reads: no change ends in an internal error.

The answers of a plain run are recorded. Each further run gets them again with one change.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.bulk import FIRST_INSTANT, BulkRun, write_runs
from tests.cli.conftest import Command, Outcome
from tests.fakes import RewritingTransport
from tests.stored import World
from wbgql.cli.shared import exit_codes
from wbgql.client import Client
from wbgql.documents import Prepared
from wbgql.errors import ErrorsWarning, ResponseError
from wbgql.safety.holds import HoldRegister
from wbgql.server import RunningServer
from wbgql.settings import Settings
from wbgql.wire.session import Session
from wbgql.wire.transport import GqlTransport, Reply, Transport

Place = tuple[str | int, ...]
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
}

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
}


@dataclass
class Replay(Transport):
    """Gives recorded answers again, with one change; asks `server` what was not recorded."""

    server: Transport
    recorded: dict[tuple[str, str, str], Reply] = field(default_factory=dict)
    change: tuple[tuple[str, str, str], Place, Change | None] | None = None
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        self.sent.append((prepared.name, dict(variables)))
        key = (prepared.name, prepared.text, json.dumps(dict(variables), sort_keys=True, default=str))
        if key not in self.recorded:
            reply = self.server.send(replace(prepared, result=msgspec.Raw), variables)
            if self.change is not None:
                return reply
            self.recorded[key] = reply
        reply = self.recorded[key]
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


@pytest.fixture(scope="module")
def project(local_server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A project with three runs, their rows, lines, measures and files, and a version of an artifact."""
    world = World(local_server)
    world.run("r0")
    write_runs(local_server.data, world.project, [_run(number) for number in (1, 2, 3)])
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


def internal_errors(
    name: str, project: str, server: RunningServer, folder: Path, kinds: Mapping[str, Change | None]
) -> tuple[list[str], list[str]]:
    """Which changes end in an internal error, and which lose rows of the output without a word."""
    settings = Settings(base_url=server.base_url, api_key=server.api_key)
    replay = Replay(GqlTransport(settings))
    tries = iter(range(10**9))

    HoldRegister(folder / "holds.json").create()

    def run() -> Outcome:
        command = Command(folder, server=replay)
        out = folder / f"out{next(tries)}"
        return command(*(part.format(path=project, folder=out) for part in COMMANDS[name]))

    plain = run()
    assert plain.code == exit_codes.OK, plain.err
    found, silent = [], []
    seen: set[tuple[str, Place]] = set()
    for key, reply in list(replay.recorded.items()):
        called = key[0]
        for place in places(json.loads(bytes(reply.data))):
            if (called, place) in seen:
                continue
            seen.add((called, place))
            for kind, change in kinds.items():
                replay.change = (key, place, change)
                outcome = run()
                where = f"{called}{list(place)} {kind}"
                if "internal error" in outcome.err:
                    found.append(f"{where}: {outcome.err.strip().splitlines()[-1]}")
                elif (
                    outcome.code == exit_codes.OK
                    and len(outcome.out.splitlines()) < len(plain.out.splitlines())
                    and outcome.err == plain.err
                ):
                    silent.append(where)
    return found, silent


@pytest.mark.parametrize("name", COMMANDS)
def test_no_changed_answer_ends_in_an_internal_error(
    name: str, project: str, local_server: RunningServer, tmp_path: Path
) -> None:
    found, silent = internal_errors(
        name, project, local_server, tmp_path, {kind: ODD[kind] for kind in ("null", "text")}
    )

    assert not found, "\n".join(found)
    # A null list of a nullable field is none of these; config, summary and metadata are one text in JSON.
    assert not [place for place in silent if "edges" in place or "Files" in place], "\n".join(silent)


@pytest.mark.full
@pytest.mark.parametrize("name", COMMANDS)
def test_no_change_of_any_kind_ends_in_an_internal_error(
    name: str, project: str, local_server: RunningServer, tmp_path: Path
) -> None:
    found, _ = internal_errors(name, project, local_server, tmp_path, {**ODD, "missing": None})

    assert not found, "\n".join(found)


def add_error(data: Any, path: list[str | int] | None) -> Reply:
    error: dict[str, Any] = {"message": "passing trouble"}
    if path is not None:
        error["path"] = path
    return Reply(data=msgspec.Raw(json.dumps(data).encode()), errors=[error])


@pytest.mark.parametrize(
    "name", ["whoami", "runs list", "runs show", "runs count", "history", "fields", "storage"]
)
def test_errors_next_to_whole_data_are_a_warning(
    name: str, project: str, local_server: RunningServer, tmp_path: Path
) -> None:
    settings = Settings(base_url=local_server.base_url, api_key=local_server.api_key)
    informing = {
        "GetViewer",
        "ListRuns",
        "GetRun",
        "CompareCounts",
        "ScanHistory",
        "ListFields",
        "ListRunBytes",
    }

    def rewrite(operation: str, data: Any) -> Any:
        return add_error(data, None) if operation in informing else data

    argv = [part.format(path=project) for part in COMMANDS[name]]
    plain = Command(tmp_path, server=GqlTransport(settings))
    HoldRegister(tmp_path / "holds.json").create()
    expected = plain(*argv)

    outcome = Command(tmp_path, server=RewritingTransport(GqlTransport(settings), rewrite))(*argv)

    assert (outcome.code, outcome.out) == (expected.code, expected.out), outcome.err
    assert "passing trouble" in outcome.err


def test_an_error_about_a_null_and_errors_in_a_plan_stay_errors(
    project: str, local_server: RunningServer, tmp_path: Path
) -> None:
    settings = Settings(base_url=local_server.base_url, api_key=local_server.api_key)

    def withhold(operation: str, data: Any) -> Any:
        data["project"]["runs"]["edges"][0]["node"]["tags"] = None
        return add_error(data, ["project", "runs", "edges", 0, "node", "tags"])

    session = Session(RewritingTransport(GqlTransport(settings), withhold))
    with pytest.raises(ResponseError, match="passing trouble"):
        list(Client(settings=settings, session=session).runs(project))

    whole = Session(RewritingTransport(GqlTransport(settings), lambda _, data: add_error(data, None)))
    with pytest.warns(ErrorsWarning, match="passing trouble"):
        assert len(list(Client(settings=settings, session=whole).runs(project))) == 4
    with whole.deciding(), pytest.raises(ResponseError, match="passing trouble"):
        list(Client(settings=settings, session=whole).runs(project))
