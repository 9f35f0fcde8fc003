"""A client and fresh runs on the local server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import wbgql as wb
from tests.caller import Caller, new_project
from wbgql.server import RunningServer


@pytest.fixture
def client(local_server: RunningServer) -> Iterator[wb.Client]:
    with wb.Client(base_url=local_server.base_url, api_key=local_server.api_key, entity="admin") as client:
        yield client


@pytest.fixture
def project(caller: Caller) -> str:
    """A project with one fresh run, r1."""
    name = new_project()
    caller.upsert(name, name="r1")
    return name
