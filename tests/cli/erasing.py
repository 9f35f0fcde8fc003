"""Runs `wbgql erase` against a local server."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from click.testing import CliRunner

from tests.cli.conftest import Outcome
from wbgql.cli.main import main
from wbgql.cli.shared.app import App
from wbgql.client import Client
from wbgql.safety.holds import HoldRegister
from wbgql.server import RunningServer
from wbgql.settings import Settings
from wbgql.wire.session import Session

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@dataclass
class Erase:
    """`erase("plan", ...)` runs the command against the local server, with a register of its own."""

    server: RunningServer
    folder: Path
    now: datetime = NOW
    api_key: str | None = None
    environ: dict[str, str] = field(default_factory=dict)

    def __call__(self, *argv: str, stdin: str = "", interactive: bool = False) -> Outcome:
        app = App(
            make_client=self._make_client,
            is_interactive=lambda: interactive,
            shows_bars=lambda: False,
            environ={"WBGQL_STATE": str(self.folder)} | self.environ,
            now=lambda: self.now,
        )
        with CliRunner().isolation(input=stdin) as (out, err, _):
            code = main(["erase", *argv], app)
            streams = [stream.getvalue().decode() for stream in (out, err)]
        return Outcome(code, *streams)

    @property
    def register(self) -> HoldRegister:
        return HoldRegister(self.folder / "holds.json")

    def _make_client(self, **_: object) -> Client:
        settings = Settings(base_url=self.server.base_url, api_key=self.api_key or self.server.api_key)
        session = Session.open(settings, sleep=lambda _seconds: None)
        return Client(settings=settings, session=session, holds=self.register)
