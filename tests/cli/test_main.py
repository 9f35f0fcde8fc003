"""Where errors end: a line on stderr and a code, never a traceback; hostile input; broken outputs."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wbgql.cli.main import main
from wbgql.cli.shared.app import App
from wbgql.cli.shared.exit_codes import table
from wbgql.cli.shared.terminal import printable
from wbgql.errors import ConfigError
from wbgql.safety.holds import HoldRegister

HOSTILE = [
    "",
    " ",
    "\x00",
    "é\u202e💥",
    "\ud800",
    "x" * 100_000,
    "../../etc/passwd",
    "-",
    "--",
    "'; drop",
    "%s{0}",
]
COMMANDS = [
    ("runs", "list"),
    ("runs", "list", "acme/vision", "--where"),
    ("runs", "list", "acme/vision", "--filters"),
    ("runs", "list", "acme/vision", "--order"),
    ("runs", "list", "acme/vision", "--select"),
    ("runs", "list", "acme/vision", "--limit"),
    ("runs", "count"),
    ("runs", "show"),
    ("runs", "explain"),
    ("runs", "best", "acme/vision", "--metric", "created_at", "--by"),
    ("runs", "stats", "acme/vision", "--by", "state", "--of"),
    ("history",),
    ("history", "acme/vision/a", "--key"),
    ("history", "acme/vision/a", "--step-where"),
    ("logs",),
    ("system", "acme/vision/a", "--key"),
    ("artifacts", "show"),
    ("artifacts", "list", "acme/vision", "--metadata"),
    ("artifacts", "lineage", "--run"),
    ("files", "list", "--pattern"),
    ("storage",),
    ("query",),
    ("query", "/dev/null", "--vars"),
    ("runs", "tag", "acme/vision/a"),
    ("runs", "update", "acme/vision/a", "--set-summary"),
    ("runs", "delete"),
    ("runs", "delete", "acme/vision", "--ids-from"),
    ("runs", "undelete", "acme/vision"),
    ("projects", "list"),
    ("fields",),
    ("hold", "add", "--run"),
    ("hold", "release"),
    ("schema", "check"),
    ("completion",),
    ("erase", "verify"),
    ("erase", "verify", "/dev/null", "--storage"),
    ("erase", "watch", "/dev/null", "--once", "--patience"),
    ("erase", "probe"),
    ("erase", "returned", "/dev/null", "acme/vision", "--case-key"),
    ("nope",),
    ("--base-url",),
    ("--base-url", "http://127.0.0.1:1", "--entity"),
]
CODES = {row.code for row in table()}


@pytest.mark.parametrize("prefix", COMMANDS, ids=" ".join)
def test_hostile_arguments_end_in_a_code_from_the_table(command, prefix) -> None:
    for text in HOSTILE:
        got = command(*prefix, text, answers=[ConfigError("the network is not part of this")])

        assert got.code in CODES, (text, got)
        assert "Traceback" not in got.err
        assert "internal error" not in got.err, (text, got.err)


def test_an_empty_argument_is_refused_not_taken_for_the_default(command) -> None:
    got = command("runs", "list", "", "--entity", "acme", "--project", "vision")

    assert (got.code, got.sent) == (2, [])
    assert "it is empty" in got.err


def _run(app: App, *argv: str) -> tuple[int, str]:
    with CliRunner().isolation() as (_, err, _output):
        return main(argv, app), err.getvalue().decode()


def _broken_app(error: BaseException) -> App:
    def make_client(**_settings: object) -> object:
        raise error

    return App(make_client=make_client, environ={})  # type: ignore[arg-type]  # never returns one


def test_a_fault_of_our_own_is_one_line_that_says_how_to_see_more() -> None:
    code, err = _run(_broken_app(KeyError("oops")), "whoami")

    assert code == 1
    assert err == "internal error: KeyError: 'oops'; `wbgql --debug ...` shows where\n"


def test_debug_shows_the_traceback() -> None:
    code, err = _run(_broken_app(KeyError("oops")), "whoami", "--debug")

    assert code == 1
    assert "Traceback (most recent call last)" in err


def test_an_interrupt_is_130_without_a_traceback() -> None:
    code, err = _run(_broken_app(KeyboardInterrupt()), "whoami")

    assert code == 130
    assert err.strip() == "interrupted; nothing is lost"


def test_an_error_cannot_drive_the_terminal() -> None:
    _, err = _run(_broken_app(ConfigError("bad \x1b[31mname\nsecond line")), "whoami")

    assert err == "error: bad \\x1b[31mname\nsecond line\n"


@given(st.text(st.characters(exclude_categories=())))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_printable_text_holds_nothing_a_terminal_acts_on(text: str) -> None:
    assert printable(text).isprintable()


def _child(folder: Path, *argv: str, stdout: int) -> subprocess.CompletedProcess[bytes]:
    # More than a pipe or a buffer holds.
    register = HoldRegister(folder / "holds.json")
    register.add("tag", "t", reason="r" * 200_000, added_by="ada", now=datetime(2026, 1, 1, tzinfo=UTC))
    return subprocess.run(
        [sys.executable, "-c", "import sys; from wbgql.cli.main import main; sys.exit(main())", *argv],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, "WBGQL_HOLDS": str(register.path)},
        timeout=60,
        check=False,
    )


def test_a_reader_that_stops_reading_is_no_traceback(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = _child(tmp_path, "hold", "list", stdout=writing)
    finally:
        os.close(writing)

    assert (done.returncode, done.stderr) == (141, b"")


def test_a_table_whose_reader_stops_reading_is_no_failure_of_another_kind(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = _child(tmp_path, "hold", "list", "--format", "table", stdout=writing)
    finally:
        os.close(writing)

    assert (done.returncode, done.stderr) == (141, b"")


def test_a_missing_key_has_the_exit_code_of_the_table(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "WANDB_BASE_URL": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-m", "wbgql", "whoami"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environ,
        check=False,
    )

    assert (done.returncode, done.stdout) == (4, "")
    assert "no API key for 'http://127.0.0.1:9'" in done.stderr


def test_a_closed_standard_output_is_a_store_error(tmp_path: Path) -> None:
    script = 'exec "$0" -c "import sys; from wbgql.cli.main import main; sys.exit(main())" hold list >&-'
    environ = {**os.environ, "WBGQL_HOLDS": str(tmp_path / "holds.json")}
    HoldRegister(tmp_path / "holds.json").add(
        "tag", "t", reason="r", added_by="ada", now=datetime(2026, 1, 1, tzinfo=UTC)
    )
    done = subprocess.run(
        ["/bin/sh", "-c", script, sys.executable],
        stderr=subprocess.PIPE,
        env=environ,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (14, b"error: cannot write to standard output: it is closed\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("argv", [("hold", "list"), ("--help",)])
def test_a_full_disk_is_a_store_error_without_a_traceback(tmp_path: Path, argv) -> None:
    with Path("/dev/full").open("wb") as full:
        done = _child(tmp_path, *argv, stdout=full.fileno())

    assert done.returncode == 14
    assert done.stderr.count(b"\n") == 1
    assert b"no space left" in done.stderr
