"""Databases that a ledger may live in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.erasure.fault_proxy import FaultProxy, proxied
from tests.erasure.stages import Stage
from tests.stored import World
from wbgql.erasure.ledger import Ledger
from wbgql.server import RunningServer


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh database: SQLite in one run, PostgreSQL in the other."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    return str(request.getfixturevalue("postgres"))


@pytest.fixture
def open_ledger(database: str) -> Iterator[Callable[[], Ledger]]:
    """Opens the database, each time as another process would; closed when the test ends."""
    opened: list[Ledger] = []

    def open_() -> Ledger:
        opened.append(Ledger.open(database))
        return opened[-1]

    yield open_
    for ledger in opened:
        ledger.close()


@pytest.fixture(scope="session")
def proxy(local_server: RunningServer) -> Iterator[FaultProxy]:
    """A proxy before the local server; each test has its counts and faults to itself (`stage`)."""
    with proxied(local_server.base_url) as running:
        yield running


@pytest.fixture
def stage(world: World, proxy: FaultProxy, tmp_path: Path) -> Iterator[Stage]:
    """A world, a proxy before its server that does nothing yet, a hold register, a place for cases."""
    proxy.forget()
    made = Stage(world, proxy, tmp_path)
    yield made
    proxy.forget()
    made.close()
