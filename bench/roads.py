"""`python -m bench.roads`: through how many files and frames of the package a command goes.

`runs list --where` is followed from the typed command to the moment in which the request for the runs is sent;
`erase apply`, with one run in its plan, from start to end. A file counts if one of its functions was called;
what runs at import does not. Frames are those of the package that stand on the stack when the request is sent.
The server is the local one, in a process of its own.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from click.testing import CliRunner

import wbgql
from tests.caller import Caller
from wbgql.cli.main import main as command
from wbgql.cli.shared.app import App
from wbgql.client import Client
from wbgql.documents import Prepared
from wbgql.erasure.case.case import open_case
from wbgql.safety.holds import HoldRegister
from wbgql.server import RunningServer, start
from wbgql.settings import Settings
from wbgql.wire.session import Session
from wbgql.wire.transport import Reply, Transport

PACKAGE = Path(wbgql.__file__).parent
PROJECT = "roads"


class Road:
    """What was called and sent since `follow`. Threads that start later are followed too."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.sent: Counter[str] = Counter()
        self.frames: list[str] = []
        self.at_send: set[str] = set()

    def follow(self, argv: list[str], server: RunningServer, folder: Path) -> None:
        app = App(
            make_client=partial(self._make_client, server, folder),
            environ={"WBGQL_STATE": str(folder), "WBGQL_HOLDS": str(folder / "holds.json")},
        )
        threading.setprofile(self._see)
        with CliRunner().isolation() as (out, err, _):
            sys.setprofile(self._see)
            code = command(argv, app)
            sys.setprofile(None)
            said = out.getvalue() + err.getvalue()
        threading.setprofile(None)
        if code != 0:
            raise SystemExit(f"{' '.join(argv)} ended with {code}:\n{said.decode()}")

    def note(self, name: str) -> None:
        """Called where a request leaves."""
        self.sent[name] += 1
        if name == "ListRuns" and not self.frames:
            frame: FrameType | None = sys._getframe()
            while frame is not None:
                if (file := _file_of(frame)) is not None:
                    self.frames.append(f"{file}:{frame.f_code.co_name}")
                frame = frame.f_back
            self.at_send = set(self.files)

    def _see(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and (file := _file_of(frame)) is not None:
            self.files.add(file)

    def _make_client(self, server: RunningServer, folder: Path, **_: Any) -> Client:
        settings = Settings(base_url=server.base_url, api_key=server.api_key)
        session = Session.open(settings).through(lambda inner: Noting(inner, self))
        return Client(settings=settings, session=session, holds=HoldRegister(folder / "holds.json"))


class Noting:
    """Hands requests on and notes them."""

    def __init__(self, inner: Transport, road: Road) -> None:
        self._inner = inner
        self._road = road

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        self._road.note(prepared.name)
        return self._inner.send(prepared, variables)

    def close(self) -> None:
        self._inner.close()


def _file_of(frame: FrameType) -> str | None:
    code = frame.f_code
    if code.co_name == "<module>" or not code.co_filename.startswith(str(PACKAGE)):
        return None
    return str(Path(code.co_filename).relative_to(PACKAGE))


def main() -> int:
    """Print both roads; with `--files`, every file of them."""
    parser = argparse.ArgumentParser(prog="python -m bench.roads", description=__doc__)
    parser.add_argument("--files", action="store_true", help="list the files and frames too")
    shows_files = parser.parse_args().files
    with tempfile.TemporaryDirectory() as name, start(Path(name) / "store") as server:
        folder = Path(name)
        HoldRegister(folder / "holds.json").create()
        caller = Caller(server.base_url, server.api_key)
        for run in ("a", "b"):
            caller.upsert(PROJECT, name=run, config={"lr": {"value": 0.1}}, state="finished")
        listing = Road()
        listing.follow(["runs", "list", f"admin/{PROJECT}", "--where", 'config["lr"] > 0'], server, folder)
        apply = _apply(server, folder)
    rows = [
        ("runs list --where: files to the send", len(listing.at_send), 25),
        ("runs list --where: frames at the send", len(listing.frames), 15),
        ("erase apply of one run: files", len(apply.files), 40),
        ("erase apply of one run: questions for rights", apply.sent["GetRights"], 1),
    ]
    print("| road | measured | target |\n|---|---|---|")
    for what, measured, target in rows:
        print(f"| {what} | {measured} | {target} |")
    if shows_files:
        print("\n" + "\n".join(sorted(listing.at_send)), "\n" + "\n".join(listing.frames), sep="\n")
        print("\n" + "\n".join(sorted(apply.files)), f"\n{dict(apply.sent)}", sep="\n")
    return 0


def _apply(server: RunningServer, folder: Path) -> Road:
    plan, ids = folder / "plan.json", folder / "ids.txt"
    ids.write_text(f"admin/{PROJECT}/a\n", encoding="utf-8")
    planning = ["--ids-from", str(ids), "--request", "R-1", "--basis", "gdpr-17", "--max-percent", "50"]
    Road().follow(["erase", "plan", *planning, "-o", str(plan)], server, folder)
    digest = open_case(plan, environ={"WBGQL_STATE": str(folder)}).plan.digest
    host = server.base_url.removeprefix("http://")
    road = Road()
    road.follow(["erase", "apply", str(plan), "--digest", digest, "--yes", "--host", host], server, folder)
    return road


if __name__ == "__main__":
    sys.exit(main())
