"""The addresses that the real wandb SDK prints open as pages, and show what it logged."""

from __future__ import annotations

import pytest

from tests.caller import new_project
from tests.sdk.sdk_process import run_sdk
from tests.server.html_pages import admin_of

pytestmark = pytest.mark.sdk

LOG = """
import sys, wandb
with wandb.init(project=sys.argv[1], name="first try", config={"opt": {"name": "sgd"}}) as run:
    for step in range(5):
        run.log({"loss": 1 / (step + 1), "deep": {"x": step}, "bad": float("nan")})
    run.log({"weights": wandb.Histogram([1, 2, 2, 3]), "table": wandb.Table(columns=["a"], data=[[1]])})
    print("\\x1b[32mhello\\x1b[0m console")
    open("w.txt", "w").write("weights")
    net = wandb.Artifact("net", type="model", metadata={"size": "small"})
    net.add_file("w.txt")
    run.log_artifact(net, aliases=["best"]).wait()
result = {"run": run.url, "project": run.project_url, "artifact": net.url}
"""


def test_the_urls_that_the_sdk_prints_open(local_server, tmp_path):
    urls = run_sdk(local_server, tmp_path, LOG, new_project())
    visitor = admin_of(local_server)

    run = visitor.open(urls["run"])
    assert run.all("h1")[0].text.split() == ["first", "try", "finished"]
    assert [one.text.split()[0] for one in run.all("figcaption")] == ["deep.x", "loss"]
    assert {"opt.name", "loss", "weights", "table", "bad"} <= {one.text for one in run.all("dt")}
    assert len(run.all("svg", class_="bars")) == 1
    (table,) = [one for one in run.links() if "table" in one and "/file?" in one]
    assert visitor.fetch(table).json()["data"] == [[1]]

    assert [one.text for one in visitor.open(f"{urls['run']}/logs").all("span", class_="color-2")] == [
        "hello"
    ]
    assert "requirements.txt" in visitor.open(f"{urls['run']}/files").text
    assert visitor.open(urls["project"]).rows()[0][0].startswith("first try")

    version = visitor.open(urls["artifact"])
    assert {one.text for one in version.all("span", class_="alias")} == {"best", "latest"}
    assert [row[0] for row in version.rows()] == ["w.txt"]
    (file,) = [one for one in version.links() if "file=w.txt" in one]
    assert visitor.fetch(file).text == "weights"
