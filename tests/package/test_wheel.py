"""The wheel holds documents and SDL: built, installed apart from the checkout, and used from an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
QUERY = """
import json, re, sys
from pathlib import Path
import requests
import wbgql
from wbgql.resources import queries_dir, schema_file
from wbgql.server import start

with start(Path("store")) as server:
    client = wbgql.Client(base_url=server.base_url, api_key=server.api_key)
    client.upsert_run("vision/r1", summary={"acc": 0.95})
    found = client.runs("vision", where=wbgql.summary["acc"] > 0.9, select=[wbgql.summary["acc"]])
    page = requests.get(f"{server.base_url}/admin/vision/runs/r1", auth=("api", server.api_key), timeout=30)
    (style,) = re.findall(r'<link rel="stylesheet" href="([^"]+)">', page.text)
    styled = requests.get(server.base_url + style, timeout=30)
    print(json.dumps({
        "package": wbgql.__file__, "queries": str(queries_dir()), "schema": str(schema_file()),
        "page": [page.status_code, "<h1" in page.text, styled.status_code, styled.headers["content-type"]],
        "runs": [[run.id, run.summary["acc"]] for run in found],
    }))
"""


def run(*arguments: str, cwd: Path, **environ: str) -> str:
    process = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    offline = ("--no-index", "--no-deps", "--quiet")
    run("-m", "pip", "wheel", "--no-build-isolation", *offline, "-w", str(folder), str(CHECKOUT), cwd=folder)
    (wheel,) = folder.glob("*.whl")
    target = folder / "site"
    run("-m", "pip", "install", *offline, "--target", str(target), str(wheel), cwd=folder)
    return target


def test_a_query_runs_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    answer = json.loads(run("-c", QUERY, cwd=tmp_path, PYTHONPATH=str(installed)))

    assert answer["runs"] == [["r1", 0.95]]
    assert answer["page"] == [200, True, 200, "text/css; charset=utf-8"]
    for name in ("package", "queries", "schema"):
        assert Path(answer[name]).is_relative_to(installed), answer[name]


MIGRATE = """
import sys
from pathlib import Path
import apsw
from wbgql.server.store.database import Store
from wbgql.server.store.tables import VERSION

folder = Path("old")
folder.mkdir()
db = apsw.Connection(str(folder / "wbgql.sqlite"))
db.execute(Path(sys.argv[1]).read_text()).fetchall()
db.close()
store = Store(folder)
with store.read() as db:
    print(db.execute("PRAGMA user_version").get == VERSION > 1)
"""


def test_an_older_store_is_migrated_with_what_the_wheel_carries(installed: Path, tmp_path: Path) -> None:
    sample = str(CHECKOUT / "tests" / "samples" / "store-v1.sql")

    assert run("-c", MIGRATE, sample, cwd=tmp_path, PYTHONPATH=str(installed)) == "True\n"


def test_the_command_validates_what_the_wheel_carries(installed: Path, tmp_path: Path) -> None:
    answer = json.loads(
        run("-m", "wbgql", "schema", "check", "--format", "json", cwd=tmp_path, PYTHONPATH=str(installed))
    )

    assert answer["operations"] == answer["result_types"] > 0
    assert Path(answer["schema"]).is_relative_to(installed)
