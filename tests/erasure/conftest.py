"""Databases that a ledger may live in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wbgql.erasure.ledger import Ledger


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
