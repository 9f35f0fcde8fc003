"""`wandb.Api()` of the real SDK: runs in any order and selection, projects, people, and what is empty here."""

from __future__ import annotations

from typing import Any

import pytest

from tests.caller import new_project
from tests.sdk.sdk_process import run_sdk
from wbgql.server import RunningServer

pytestmark = pytest.mark.sdk

RUNS = """
import sys, wandb
project = sys.argv[1]
path = f"admin/{project}"
for number in range(6):
    wandb.Api().create_run(run_id=f"r{number}", project=project)
    run = wandb.Api().run(f"{path}/r{number}")
    run.config.update({"n": number, "nest": {"odd": number % 2}})
    run.tags = ["odd", "x"] if number % 2 else ["even"]
    run.group, run.job_type = f"g{number % 2}", "train"
    run.update()
    run.summary.update({"acc": number / 10, "deep": {"er": number}})

def ids(**options):
    return "".join(run.id[1:] for run in wandb.Api().runs(path, **options))

def both(lazy):
    return [[run.config, run.summary._json_dict] for run in wandb.Api().runs(path, lazy=lazy, order="+created_at")]

result = {
    "orders": [ids(order=order) for order in (
        "+created_at", "-created_at", "-summary_metrics.acc", "+config.n.value", "-heartbeat_at")],
    "pages": ids(order="+created_at", per_page=2),
    "slice": [run.id for run in wandb.Api().runs(path, order="+created_at")[1:3]],
    "count": len(wandb.Api().runs(path, filters={"tags": "odd"})),
    "filters": {str(filters): ids(filters=filters) for filters in (
        {"config.n": 3}, {"config.n.value": 3}, {"config.nest.odd": 1, "summary_metrics.acc": {"$gt": 0.2}},
        {"summary_metrics.deep.er": {"$in": [1, 2]}}, {"tags": {"$in": ["x"]}}, {"group": "g1", "jobType": "train"},
        {"$or": [{"config.n": 1}, {"name": "r2"}]}, {"display_name": {"$regex": "r[12]"}},
        {"config.n": {"$nin": [0, 1, 2, 3]}}, {"createdAt": {"$lt": "2020-01-01"}}, {"state": "finished"},
        {"username": "admin", "heartbeatAt": {"$gt": "2020-01-01T00:00:00"}, "config.n": {"$lte": 1}},
        {"entity": "admin", "config.n": {"$gte": 4}}, {"entity": {"$in": ["ada", "grace"]}},
    )},
    "same": both(True) == both(False),
    "full": both(False)[3],
}
"""

CHANGES = """
import sys, wandb
import wandb.apis.public as public
from pathlib import Path
project = sys.argv[1]
path = f"admin/{project}/r"
read = lambda: wandb.Api().run(path)
made = wandb.Api().create_run(run_id="r", project=project)
run = read()
run.summary.update({"kept": 1, "gone": 2})
run = read()
del run.summary["gone"]
run.summary.update({"new": {"a": 1}})
run.display_name, run.description = "shown", "described"
run.save()
result = {"created": [made.id, made.state, made.url.rsplit("/", 3)[-3:]],
          "changed": [read().name, read().description, read().summary._json_dict]}
Path("sub").mkdir()
Path("sub/up.txt").write_text("up")
uploaded = read().upload_file("sub/up.txt")
result["uploaded"] = [uploaded.name, uploaded.size, read().file("sub/up.txt").download(replace=True).read()]
result["state"] = read().state
read().file("sub/up.txt").delete()
result["left"] = [file.name for file in read().files()]
Path("above.txt").write_text("above")
outside = str(Path("above.txt").absolute())
result["outside"] = [read().upload_file(outside, root="sub").name, [file.name for file in read().files()]]
pending = public.Run.create(wandb.Api(), project=project, entity="admin", state="pending")
result["states"] = [pending.state]
for state in ("failed", "pending", "failed"):
    found = wandb.Api().run(f"admin/{project}/{pending.id}")
    found.update_state(state)
    result["states"].append(found.state)
try:
    found.update_state("failed")
except Exception as error:
    result["refused"] = str(error)
run = read()
result["empty"] = [list(run.history(pandas=False)), list(run.scan_history()), list(run.console_logs()), run.metadata,
                   run.sweep, run.system_metrics, list(run.logged_artifacts()), run.lastHistoryStep]
with wandb.init(project=project, id="logs", settings=wandb.Settings(x_disable_stats=True)) as logging:
    logging.log({"x": 1})
    for name in ("mine", "shared"):
        artifact = wandb.Artifact(name, "dataset")
        with artifact.new_file("f.txt") as file:
            file.write(name)
        logging.log_artifact(artifact).wait()
api = wandb.Api()
absent = api.run(f"admin/{project}/logs").file("nowhere.txt")
result["absent"] = [absent.name, absent.size]
for read_absent in (lambda: wandb.restore("nowhere.txt", run_path=f"admin/{project}/logs"), absent.download):
    try:
        read_absent()
    except Exception as error:
        result["absent"].append(str(error).partition(": body")[0])
result["histories"] = api.runs("admin/" + project).histories(keys=["x"], format="default")
result["by api"] = [read().use_artifact(api.artifact(f"admin/{project}/shared:v0")).name,
                    read().log_artifact(api.artifact(f"admin/{project}/shared:v0"), aliases=["again"]).name,
                    wandb.Api().artifact(f"admin/{project}/shared:again").version]
wandb.Api().run(f"admin/{project}/logs").delete(delete_artifacts=True)
ids = lambda: [run.id for run in wandb.Api().runs("admin/" + project)]
result["after"] = [["r" in ids(), "logs" in ids()],
                   [wandb.Api().artifact_exists(f"admin/{project}/{name}:v0") for name in ("mine", "shared")]]
"""

ROUND = """
import sys, wandb
project, team = sys.argv[1:]
api = wandb.Api()
api.create_project(project, "admin")
found = api.project(project, "admin")

def raised(call):
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"

result = {
    "project": [found.owner.username, found.path, found.url.endswith(f"/admin/{project}/workspace"),
                project in [one.name for one in api.projects("admin", per_page=2)]],
    "empty": [list(found.sweeps()), len(found.sweeps()), list(found.collections()), list(found.artifacts_types()),
              list(api.reports(f"admin/{project}")), len(api.reports(f"admin/{project}", name="x")),
              list(api.automations("admin")), list(api.integrations("admin")), list(api.runs(f"admin/{project}")),
              api.list_jobs("admin", project)],
    "viewer": [api.default_entity, api.viewer.username, api.viewer.admin, api.viewer.teams[0],
               sys.argv[2] in api.viewer.teams, [wandb.api.api_key.startswith(name) for name in api.viewer.api_keys][:1]],
    "user": [api.user("admin").username, api.user("admin@localhost").username, api.user("nobody at all"),
             [one.username for one in api.users("admin@")]],
    "personal": [[one.username, one.account_type] for one in api.team("admin").members],
    "team": [[one.username, one.account_type] for one in api.create_team(team).members],
    "no team": [api.team("nobody-at-all").available, api.team("nobody-at-all").members, api.team(team).available],
    "invited": [api.team(team).invite("admin"), api.team(team).invite("nobody at all")],
    "paths": [type(api.from_path(f"admin/{project}")).__name__, type(api.from_path(f"admin/{project}/reports/A--b")).__name__],
    "missing": [raised(lambda: api.run(f"admin/{project}/none").state), raised(lambda: len(api.runs("admin/none at all"))),
                raised(lambda: api.project("none at all").id), raised(lambda: api.sweep(f"admin/{project}/none").state),
                raised(lambda: api.artifact(f"admin/{project}/none:v0"))],
    "not offered": [raised(lambda: wandb.sweep({"method": "random", "parameters": {}}, project=project)),
                    raised(lambda: api.create_run_queue("queue", "local-process"))],
}
viewer = api.viewer
key = viewer.generate_api_key("another")
result["key"] = [len(key), wandb.Api(api_key=key).viewer.username, viewer.delete_api_key(key)]
"""


@pytest.fixture(scope="module")
def runs(local_server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    result: dict[str, Any] = run_sdk(local_server, tmp_path_factory.mktemp("api"), RUNS, new_project())
    return result


def test_runs_come_in_every_order_page_by_page_and_by_index(runs):
    assert runs["orders"] == ["012345", "543210", "543210", "012345", "543210"]
    assert runs["pages"] == "012345"
    assert runs["slice"] == ["r1", "r2"]


def test_filters_find_what_they_say(runs):
    assert list(runs["filters"].values()) == [
        "3",
        "3",
        "35",
        "12",
        "135",
        "135",
        "12",
        "12",
        "45",
        "",
        "",
        "01",
        "45",
        "",
    ]
    assert runs["count"] == 3


def test_lazy_and_full_runs_are_the_same(runs):
    assert runs["same"] is True
    assert runs["full"] == [{"n": 3, "nest": {"odd": 1}}, {"acc": 0.3, "deep": {"er": 3}}]


def test_runs_are_made_changed_and_deleted_with_what_they_logged(local_server, tmp_path):
    project = new_project()

    seen = run_sdk(local_server, tmp_path, CHANGES, project)

    assert seen == {
        "created": ["r", "running", [project, "runs", "r"]],
        "changed": ["shown", "described", {"kept": 1, "new": {"a": 1}}],
        "uploaded": ["sub/up.txt", 2, "up"],
        "state": "running",
        "left": [],
        # A file from outside of the root is kept under a safe name, and looked up by the other.
        "outside": ["../above.txt", ["__/above.txt"]],
        "states": ["pending", "failed", "pending", "failed"],
        "refused": "invalid state transition: 'failed' to 'failed'",
        "empty": [[], [], [], None, None, {}, [], -1],
        "histories": [{"_step": 0, "x": 1, "run_id": "logs"}],
        "absent": [
            "nowhere.txt",
            0,
            f"File nowhere.txt not found in admin/{project}/logs.",
            "file transfer: download: failed to download: status: 404 Not Found",
        ],
        "by api": ["shared:v0", "shared:v0", "v0"],
        # A version that another run logged too is not that run's alone.
        "after": [[True, False], [False, True]],
    }


@pytest.fixture(scope="module")
def around(local_server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    project = new_project()
    home = tmp_path_factory.mktemp("around")
    result: dict[str, Any] = run_sdk(local_server, home, ROUND, project, f"team-{project}")
    return result | {"name": project}


def test_projects_people_and_what_is_empty_here(around):
    seen = around

    assert seen["project"] == ["admin", ["admin", seen["name"]], True, True]
    assert seen["empty"] == [[], 0, [], [], [], 0, [], [], [], []]
    assert seen["viewer"] == ["admin", "admin", True, "admin", False, [True]]
    assert seen["user"] == ["admin", "admin", None, ["admin"]]
    assert seen["personal"] == seen["team"] == [["admin", "USER"]]
    assert seen["no team"] == [True, [], False]
    assert seen["invited"] == [False, False]
    assert seen["paths"] == ["Project", "BetaReport"]
    assert seen["key"] == [40, "admin", True]


def test_what_is_missing_and_what_is_not_offered_is_said(around):
    run, runs, project, sweep, artifact = around["missing"]
    assert "Could not find run" in run
    assert "Could not find project" in runs
    assert "not found" in project
    assert "Could not find sweep" in sweep
    assert "not found" in artifact
    assert "this server does not offer Mutation.upsertSweep" in around["not offered"][0]
    assert "this server does not offer Mutation." in around["not offered"][1]
