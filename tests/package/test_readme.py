"""The consoles of the README run as they are typed, on a terminal, against a local server."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from tests.bulk import FIRST_INSTANT, BulkRun, load_runs
from wbgql.server import add_user, start

README = Path(__file__).resolve().parents[2] / "README.md"
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
PHRASE = re.compile(r"type '([^']+)' to go on: ")


def consoles() -> str:
    """The consoles of the README as one shell script, without the one that starts a server."""
    blocks = [
        re.sub(r"^\$ ", "", found[1], flags=re.MULTILINE)
        for found in CONSOLE.finditer(README.read_text(encoding="utf-8"))
    ]
    return "".join(block for block in blocks if "wbgql server" not in block)


def make_run(number: int) -> BulkRun:
    """One run of `acme/vision`; runs 1 and 2 belong to the subject."""
    return BulkRun(
        name="3f2a9c1e" if number == 0 else f"run{number:04d}",
        state="finished",
        tags=("subject:4711",) if number in (1, 2) else (),
        created_at=FIRST_INSTANT + timedelta(minutes=number),
        config={"lr": 0.1},
        summary={"val/acc": 0.85 + number / 1000},
    )


def type_in(script: str, environ: dict[str, str], cwd: Path, *, within_s: float = 120) -> tuple[int, str]:
    """Run a script on a terminal of its own and answer each question with the phrase it asks for.

    Returns the exit code and all that the terminal showed.
    """
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(cwd)
        os.execvpe("bash", ["bash", "-e", "-c", script], environ)
    shown, answered = "", 0
    deadline = time.monotonic() + within_s
    try:
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 1)[0]:
                continue
            try:
                shown += os.read(terminal, 65536).decode(errors="replace")
            except OSError:  # Linux ends a terminal whose last process is gone with EIO
                break
            phrases = PHRASE.findall(shown)
            if len(phrases) > answered:
                os.write(terminal, f"{phrases[answered]}\n".encode())
                answered += 1
        else:
            os.kill(child, signal.SIGKILL)
    finally:
        os.close(terminal)
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), shown


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_the_consoles_of_the_readme_run_as_typed(tmp_path: Path) -> None:
    with start(tmp_path / "store") as server:
        add_user(tmp_path / "store", "acme")
        load_runs(tmp_path / "store", "vision", 100, make=make_run, entity="acme")
        plain = {
            name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "WBGQL_"))
        }
        environ = {
            **plain,
            "PATH": f"{Path(sys.executable).parent}:{plain['PATH']}",
            "HOME": str(tmp_path),
            "WANDB_BASE_URL": server.base_url,
            "WANDB_API_KEY": server.api_key,
            "WBGQL_STATE": str(tmp_path / "state"),
            "COLUMNS": "200",
        }

        code, shown = type_in(consoles(), environ, tmp_path)

    assert code == 0, shown
    assert shown.count("delete 1 run in acme/vision") == 2, "the deletion was not asked for and confirmed"
    assert "hidden" in (tmp_path / "DSR-4711.html").read_text(encoding="utf-8").lower()
