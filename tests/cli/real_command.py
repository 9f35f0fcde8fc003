"""Runs the command in this process against a real local server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.cli.conftest import Outcome, Watched
from wbgql.cli.main import main
from wbgql.cli.shared.app import App
from wbgql.client import Client
from wbgql.safety.holds import HoldRegister
from wbgql.server import RunningServer
from wbgql.settings import Settings
from wbgql.wire.session import Session


@dataclass
class RealCommand:
    """`command("erase", "verify", ...)` as the server's admin; state and holds lie in `folder`."""

    server: RunningServer
    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    now: Any = lambda: datetime.now(UTC)
    sleep: Callable[[float], object] = lambda _seconds: None

    def __call__(self, *argv: str, interactive: bool = False, stdin: str = "", **environ: str) -> Outcome:
        app = App(
            make_client=partial(self._make_client, argv),
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

    def _make_client(self, argv: Sequence[str], **given: Any) -> Client:
        given = {"base_url": self.server.base_url, "api_key": self.server.api_key} | given
        settings = Settings(**given, origin={"base_url": "a test"})
        session = Session.open(settings, sleep=self.sleep).through(lambda inner: Watched(inner, argv))
        return Client(settings=settings, session=session, holds=HoldRegister(self.folder / "holds.json"))
