"""Runs the command in this process against a real local server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.cli.conftest import Outcome
from wbgql.cli.app import App
from wbgql.cli.main import main
from wbgql.client import Client
from wbgql.holds import HoldRegister
from wbgql.server import RunningServer
from wbgql.settings import Settings


@dataclass
class RealCommand:
    """`command("erase", "verify", ...)` as the server's admin; state and holds lie in `folder`."""

    server: RunningServer
    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    now: Any = lambda: datetime.now(UTC)

    def __call__(self, *argv: str, interactive: bool = False, stdin: str = "", **environ: str) -> Outcome:
        app = App(
            make_client=self._make_client,
            is_interactive=lambda: interactive,
            environ=self._environ() | environ,
            now=self.now,
        )
        with CliRunner().isolation(input=stdin) as (out, err, _):
            code = main(argv, app)
            streams = [stream.getvalue().decode() for stream in (out, err)]
        return Outcome(code, *streams)

    def _environ(self) -> Mapping[str, str]:
        register = HoldRegister(self.folder / "holds.json")
        if not register.path.exists():
            register.create()
        return {"WBGQL_STATE": str(self.folder), "WBGQL_HOLDS": str(register.path), **self.environ}

    def _make_client(self, **given: Any) -> Client:
        settings = {"base_url": self.server.base_url, "api_key": self.server.api_key} | given
        register = HoldRegister(self.folder / "holds.json")
        return Client(settings=Settings(**settings, origin={"base_url": "a test"}), holds=register)
