"""Runs the command in this process: answers handed in, output and exit code handed back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.fakes import Answer, FakeClock, FakeTransport
from wbgql.cli.main import main
from wbgql.cli.shared.app import App
from wbgql.cli.shared.command_operations import COMMAND_OPERATIONS
from wbgql.client import Client
from wbgql.documents import Prepared
from wbgql.safety.holds import HoldRegister
from wbgql.settings import Settings
from wbgql.wire.session import Session
from wbgql.wire.transport import Reply, Transport

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Outcome:
    """What one command did. `sent` lists the operations, `settings` what it opened the client with."""

    code: int
    out: str
    err: str
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def operations(self) -> list[str]:
        return [name for name, _ in self.sent]

    @property
    def rows(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class Watched:
    """Hands requests on, and checks that the command in `argv` is known to send them."""

    def __init__(self, inner: Transport, argv: Sequence[str]) -> None:
        self.inner = inner
        words = (" ".join(argv[:count]) for count in (3, 2, 1))
        self.command = next((each for each in words if each in COMMAND_OPERATIONS), "")

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        if self.command not in ("", "query", "schema check", "doctor"):  # these may send anything
            known = COMMAND_OPERATIONS[self.command]
            assert prepared.name in known, "run `python -m tests.command_operations`"
        return self.inner.send(prepared, variables)

    def close(self) -> None:
        self.inner.close()


@dataclass
class Command:
    """`command("runs", "list", ..., answers=[...])` runs it; nothing leaves this process."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)
    now: datetime = NOW
    charset: str = "utf-8"
    clock: FakeClock = field(default_factory=FakeClock)
    server: Transport | None = None
    """Answers every request, where a test does not list the answers."""

    @property
    def register(self) -> HoldRegister:
        return HoldRegister(self.folder / "holds.json")

    def __call__(
        self,
        *argv: str,
        answers: list[Answer] | None = None,
        stdin: str | bytes = "",
        interactive: bool = False,
    ) -> Outcome:
        transport = self.server or FakeTransport(*(answers or []))
        app = App(
            make_client=self._maker(Watched(transport, argv)),
            is_interactive=lambda: interactive,
            environ={"WBGQL_HOLDS": str(self.register.path)} | self.environ,
            now=lambda: self.now,
        )
        with CliRunner(charset=self.charset).isolation(input=stdin) as (out, err, _):
            code = main(argv, app)
            # click takes standard error in ASCII for a slip, and writes UTF-8.
            streams = [out.getvalue().decode(self.charset), err.getvalue().decode(errors="replace")]
        return Outcome(code, *streams, getattr(transport, "sent", []), app.settings)

    def _maker(self, transport: Transport) -> Callable[..., Client]:
        def make_client(**given: Any) -> Client:
            settings = Settings(
                **{"api_key": "k" * 40, "origin": {"base_url": "test file"}, **self.defaults, **given}
            )
            session = Session(transport, clock=self.clock, sleep=self.clock.sleep)
            return Client(settings=settings, session=session, holds=self.register)

        return make_client


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The `wbgql` command, with an empty hold register of its own and a key that no server knows."""
    command = Command(tmp_path)
    command.register.create()
    return command
