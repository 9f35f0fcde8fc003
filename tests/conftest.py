"""Fixtures that several folders of tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.caller import Caller
from tests.stored import World
from wbgql.server import RunningServer, start


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
