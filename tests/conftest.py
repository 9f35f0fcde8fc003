"""Fixtures that several folders of tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.caller import Caller
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
