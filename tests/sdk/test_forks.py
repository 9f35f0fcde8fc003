"""The real wandb SDK forks and rewinds runs; what an erasure has to find of it."""

from __future__ import annotations

import json

import pytest

from tests.caller import new_project
from tests.sdk.sdk_process import run_sdk

pytestmark = pytest.mark.sdk

FORK = """
import sys, wandb
project = sys.argv[1]
with wandb.init(project=project, id="source") as run:
    for step in range(6):
        run.log({"loss": 10 - step})
with wandb.init(project=project, fork_from="source?_step=2", id="fork") as run:
    for step in range(2):
        run.log({"loss": -step})
with wandb.init(project=project, resume_from="source?_step=3") as run:
    run.log({"loss": 99})
api = wandb.Api()
result = {name: [(row["_step"], row["loss"]) for row in api.run(f"admin/{project}/{name}").scan_history()]
          for name in ("source", "fork")}
"""
FORKS = """
query Forks($project: String, $filters: JSONString) { project(entityName: "admin", name: $project) {
  runs(filters: $filters) { edges { node { name wandbConfig(keys: ["branch_point"]) } } }
} }
"""

REFUSED = """
import sys, wandb
project = sys.argv[1]

def init(**options):
    settings = wandb.Settings(x_disable_stats=True, init_timeout=20)
    return wandb.init(project=project, settings=settings, **options)

for name in ("source", "deleted"):
    with init(id=name) as run:
        for step in range(3):
            run.log({"loss": step})
wandb.Api().run(f"admin/{project}/deleted").delete()

def refused(**options):
    try:
        init(**options).finish()
    except Exception as error:
        return f"{type(error).__name__}: {error}"

result = {
    "fork": {way: refused(fork_from=f"{way}") for way in ("none?_step=1", "deleted?_step=1", "source?_step=7")},
    "rewind": {way: refused(resume_from=f"{way}") for way in ("none?_step=1", "deleted?_step=1", "source?_step=7")},
    "runs": [[run.id, run.state, run.lastHistoryStep] for run in wandb.Api().runs("admin/" + project)],
}
"""


def test_a_fork_or_rewind_from_nowhere_is_refused_in_words_that_the_sdk_shows(local_server, tmp_path):
    seen = run_sdk(local_server, tmp_path, REFUSED, new_project())

    for way in ("fork", "rewind"):
        assert "/none not found" in seen[way]["none?_step=1"]
        assert "/deleted was previously created and deleted" in seen[way]["deleted?_step=1"]
        assert "run 'source' cannot go on from step 7: its steps end at 2" in seen[way]["source?_step=7"]
        assert all(words.startswith("CommError: ") for words in seen[way].values())
    assert seen["runs"] == [["source", "finished", 2]]


def test_a_fork_begins_with_its_sources_history_and_can_be_found(local_server, caller, tmp_path):
    project = new_project()

    rows = run_sdk(local_server, tmp_path, FORK, project)

    assert rows["fork"] == [[0, 10], [1, 9], [2, 8], [3, 0], [4, -1]]
    assert rows["source"] == [[0, 10], [1, 9], [2, 8], [3, 7], [4, 99]]
    filters = json.dumps({"config._wandb.value.branch_point.run_id": "source"})
    found = caller.ask(FORKS, project=project, filters=filters)["project"]["runs"]["edges"]
    points = {edge["node"]["name"]: json.loads(edge["node"]["wandbConfig"])["branch_point"] for edge in found}
    assert points == {"fork": {"run_id": "source", "step": 2}, "source": {"run_id": "source", "step": 3}}
