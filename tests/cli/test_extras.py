"""A command whose extra is not installed says what to run, and a traceback never reaches the user."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from wbgql import extras

WITHOUT = """
import sys
for module in {modules!r}:
    sys.modules[module] = None
from wbgql.cli.main import main
sys.exit(main({argv!r}))
"""


@pytest.mark.parametrize(
    ("extra", "argv"),
    [
        ("server", ["server", "--port", "0", "--data", "store"]),
        ("server", ["server", "user", "list", "--data", "store"]),
        ("server", ["server", "purge", "--data", "store"]),
        ("check", ["erase", "key", "new", "officer.pem"]),
        ("check", ["erase", "check", "certificate", "--trusted-keys", "officer.pem.pub"]),
        ("jobs", ["erase", "policy", "check", "rules.yaml"]),
        ("demo", ["demo"]),
    ],
    ids=" ".join,
)
def test_a_command_names_the_extra_that_it_lacks(extra: str, argv: list[str], tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("rules: []\n")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(modules=extras.MODULES[extra], argv=argv)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2, done.stderr
    assert extras.install_command(extra) in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_the_modules_of_the_extras_are_their_requirements() -> None:
    """Each requirement of an extra is the home of at least one module that the table knows, or named here."""
    optional = {"httptools", "uvloop"}  # uvicorn uses them if they are there
    homes = metadata.packages_distributions()
    known = {
        home.lower() for modules in extras.MODULES.values() for module in modules for home in homes[module]
    }
    required = {
        requirement.name.lower()
        for requirement in map(Requirement, metadata.requires("wbgql") or ())
        if requirement.marker is not None
        and any(requirement.marker.evaluate({"extra": extra}) for extra in extras.MODULES)
    }

    assert required - {"wbgql"} - optional <= known


def test_an_installation_from_a_folder_names_the_folder() -> None:
    record = metadata.distribution("wbgql").read_text("direct_url.json")

    command = extras.install_command("jobs")

    if record is None:
        assert command == "pip install 'wbgql[jobs]'"
    else:
        folder = Path(__file__).parents[2]
        editable = "-e " if json.loads(record)["dir_info"].get("editable") else ""
        assert command == f"pip install {editable}'{folder}[jobs]'"


def test_a_module_of_no_extra_is_not_taken_for_one() -> None:
    assert extras.missing(ModuleNotFoundError("No module named 'wbgql.x'", name="wbgql.x")) is None
    assert extras.missing(ImportError("no name")) is None
