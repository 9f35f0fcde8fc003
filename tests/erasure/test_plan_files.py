"""Commands that read nothing but files load no database: they are quick, and an auditor runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.erasure.made_plans import make_plan
from wbgql.erasure.records import canonical

_RUN = """
import sys
from wbgql.cli.main import main
code = main(sys.argv[1:])
assert "sqlalchemy" not in sys.modules, "a database was loaded"
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["show", "plan.json", "--format", "json"], 0),
        (["check", "plan.json", "--trusted-keys", "none.pem"], 14),
        (["approve", "plan.json", "--key", "none.pem", "--approvers", "none.json"], 14),
    ],
)
def test_commands_over_files_load_no_database(tmp_path: Path, command: list[str], code: int):
    (tmp_path / "plan.json").write_bytes(canonical.encode(make_plan()) + b"\n")

    done = subprocess.run(
        [sys.executable, "-c", _RUN, "erase", *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == code, done.stderr
    assert "a database was loaded" not in done.stderr
