"""A team on the local server, with a caller in each role."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.caller import UPSERT, Caller
from wbgql.server import RunningServer, add_org, add_team, add_user

PROJECT = "query P($e: String!, $n: String!) { project(entityName: $e, name: $n) { id access } }"


@dataclass
class Team:
    """A team with an admin, two members and a viewer; `ann` made the project and its run."""

    server: RunningServer
    name: str
    boss: Caller
    ann: Caller
    bob: Caller
    vera: Caller
    stranger: Caller

    def upsert(self, caller: Caller, run: str = "r1", **fields: Any) -> requests.Response:
        given = {"entityName": self.name, "modelName": "p", "name": run, "jobProgram": "train.py"} | fields
        return caller.post(UPSERT, input=given)

    def log(self, caller: Caller, *rows: str, offset: int = 0) -> requests.Response:
        files = {"wandb-history.jsonl": {"offset": offset, "content": list(rows)}}
        return caller.stream("p", "r1", self.name, files=files)

    @property
    def project(self) -> dict[str, Any]:
        found: dict[str, Any] = self.boss.ask(PROJECT, e=self.name, n="p")["project"]
        return found


@pytest.fixture
def team(local_server: RunningServer) -> Team:
    mark, data = secrets.token_hex(3), local_server.data
    callers = {}
    for name, role in (("boss", "admin"), ("ann", "member"), ("bob", "member"), ("vera", "viewer")):
        callers[name] = Caller(local_server.base_url, add_user(data, f"{name}-{mark}"))
        add_org(data, f"org-{mark}", f"{name}-{mark}")
        add_team(data, f"team-{mark}", f"org-{mark}", f"{name}-{mark}", role=role)
    callers["stranger"] = Caller(local_server.base_url, add_user(data, f"stranger-{mark}"))
    made = Team(local_server, f"team-{mark}", **callers)
    assert made.upsert(made.ann).status_code == 200
    assert made.log(made.ann, '{"_step": 0, "x": 1}', '{"_step": 1, "x": 2}').status_code == 200
    return made
