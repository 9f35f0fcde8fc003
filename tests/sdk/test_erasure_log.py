"""The job as a W&B run: counts and stages through the real SDK, no names, and never in the way."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.caller import Caller, new_project
from tests.sdk.sdk_process import run_sdk
from wbgql.server import RunningServer

pytestmark = pytest.mark.sdk

LOGS = """
    import sys
    from pathlib import Path
    from tests.erasure.plans import make_plan, planned_run
    from wbgql.erasure.case.run_log import RunLog
    from wbgql.paths import ProjectPath
    from wbgql.settings import default_settings

    project, folder = sys.argv[1:3]
    bundle = Path(folder) / "bundle"
    bundle.mkdir(exist_ok=True)
    (bundle / "certificate.json").write_text('{"stage": "HIDDEN"}')
    plan = make_plan(planned_run("canary-run-id"))
    warned = []
    for _ in range(2):
        with RunLog(plan, ProjectPath("admin", project), default_settings(), on_warning=warned.append) as log:
            log.stage("applying", {"run": {"open": 1}})
            log.stage("applied", {"run": {"hidden": 1}, "artifact": {"deleted": 2}})
            log.verified("hidden", {"runs": 1, "runs_absent": 1})
            log.bundle(bundle, plan.digest)
    result = {"warned": warned, "left": [path.name for path in Path.cwd().rglob("*") if path.is_dir()]}
"""
READ = """
query Read($project: String!) {
  project(entityName: "admin", name: $project) {
    runs(first: 10) { edges { node {
      name displayName jobType state config summaryMetrics historyLineCount host notes commit
      files(first: 50) { edges { node { name } } }
      outputArtifacts(first: 5) { edges { node { artifactType { name } fileCount } } }
    } } }
  }
}
"""


def test_stages_counts_and_the_certificate_become_a_run(local_server: RunningServer, tmp_path: Path):
    project = new_project()
    caller = Caller(local_server.base_url, local_server.api_key)
    root = str(Path(__file__).parents[2])

    got = run_sdk(local_server, tmp_path, LOGS, project, str(tmp_path), PYTHONPATH=root, HOME=str(tmp_path))

    assert got["warned"] == []
    assert [name for name in got["left"] if name.startswith("run-")] == []
    assert not (tmp_path / ".netrc").exists()
    runs = caller.ask(READ, project=project)["project"]["runs"]["edges"]
    assert len(runs) == 1  # the second time went on with the first one's run
    run = runs[0]["node"]
    assert (run["jobType"], run["state"], run["host"] or None) == ("erasure", "finished", None)
    assert run["historyLineCount"] == 6  # three each time
    assert '"stage":"hidden"' in run["summaryMetrics"].replace(" ", "")
    assert '"runs/hidden":1' in run["summaryMetrics"].replace(" ", "")
    logged = [edge["node"] for edge in run["outputArtifacts"]["edges"]]
    types = {one["artifactType"]["name"] for one in logged}
    assert types == {"erasure-certificate", "wandb-history"}  # the latter is the server's own
    assert "canary-run-id" not in str(runs)
    assert not {"requirements.txt", "diff.patch", "wandb-metadata.json", "output.log"} & {
        edge["node"]["name"] for edge in run["files"]["edges"]
    }


FAILS = """
    from tests.erasure.plans import make_plan, planned_run
    from wbgql.erasure.case.run_log import RunLog
    from wbgql.paths import ProjectPath
    from wbgql.settings import Settings

    warned = []
    plan = make_plan(planned_run("r1"))
    settings = Settings(base_url="http://127.0.0.1:9", api_key="k" * 40)
    with RunLog(plan, ProjectPath("admin", "other"), settings, on_warning=warned.append) as log:
        log.stage("applied", {"run": {"hidden": 1}})
    print("WARNED", len(warned), warned[0])
"""


@pytest.mark.full
def test_a_server_that_cannot_be_reached_is_a_warning_and_no_more(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FAILS)],
        env={
            **os.environ,
            "HOME": str(tmp_path),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "WANDB_ERROR_REPORTING": "false",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "WARNED 1 the job is not logged to W&B any more: " in done.stdout
