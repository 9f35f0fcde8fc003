"""Sends raw requests to a local server, as the SDK would, and without its help."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import Any

import requests

_numbers = itertools.count(1)

UPSERT = """
mutation Upsert($input: UpsertBucketInput!) {
  upsertBucket(input: $input) {
    inserted
    bucket { id name displayName state tags notes historyLineCount config project { name entity { name } } }
  }
}
"""
RUN = """
query Run($entity: String, $project: String, $name: String!) {
  project(entityName: $entity, name: $project) { run(name: $name) {
    id name displayName state tags notes config summaryMetrics historyLineCount exitcode stopped heartbeatAt
    history(minStep: 0) user { username }
  } }
}
"""


@dataclass
class Caller:
    """One key on one server."""

    base_url: str
    api_key: str

    def post(self, document: str, **variables: Any) -> requests.Response:
        body = {"query": document, "variables": variables, "operationName": ""}
        return requests.post(f"{self.base_url}/graphql", json=body, auth=("api", self.api_key), timeout=30)

    def ask(self, document: str, **variables: Any) -> Any:
        """The `data` of an answer that must be without errors."""
        answer = self.post(document, **variables)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def upsert(self, project: str, **fields: Any) -> Any:
        fields = {"modelName": project, "entityName": "admin", "jobProgram": "train.py"} | fields
        for name in ("config", "summaryMetrics"):
            if isinstance(fields.get(name), dict):
                fields[name] = json.dumps(fields[name])
        return self.ask(UPSERT, input=fields)["upsertBucket"]

    def run(self, project: str, name: str, entity: str = "admin") -> Any:
        found = self.ask(RUN, entity=entity, project=project, name=name)["project"]
        return found and found["run"]

    def stream(self, project: str, name: str, entity: str = "admin", **body: Any) -> requests.Response:
        url = f"{self.base_url}/files/{entity}/{project}/{name}/file_stream"
        headers = body.pop("headers", {})
        return requests.post(url, json=body, auth=("api", self.api_key), headers=headers, timeout=30)

    def log(self, project: str, name: str, *rows: dict[str, Any], offset: int = 0) -> None:
        """Send history rows."""
        content = [json.dumps(row) for row in rows]
        answer = self.stream(
            project, name, files={"wandb-history.jsonl": {"offset": offset, "content": content}}
        )
        assert answer.status_code == 200, answer.text


def new_project() -> str:
    """A project name no other test of this process uses."""
    return f"project-{next(_numbers)}"
