"""What a table looks like on a terminal, and what a wait sounds like."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.cli.answers import run, runs
from wbgql.safety.holds import HoldRegister

COMMAND = "import sys; from wbgql.cli.main import main; sys.exit(main())"


def on_a_terminal(columns: int, environ: dict[str, str], *argv: str) -> list[str]:
    """The lines a command prints on a terminal so wide, without colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    child_environ = {**os.environ, "TERM": "dumb", **environ}
    child_environ.pop("COLUMNS", None)
    with subprocess.Popen([sys.executable, "-c", COMMAND, *argv], stdout=theirs, env=child_environ) as child:
        os.close(theirs)
        text = b""
        while chunk := _read(ours):
            text += chunk
        child.wait(timeout=60)
    os.close(ours)
    return text.decode().splitlines()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux ends a terminal whose other side is closed so
        return b""


def test_short_columns_stay_whole_and_long_ones_fold_without_loss(tmp_path: Path) -> None:
    register = HoldRegister(tmp_path / "holds.json")
    reason = "reason-" + "0123456789" * 9
    now = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    register.add("run", "acme/vision/3f2a9c1e", reason=reason, added_by="ada", now=now)

    lines = on_a_terminal(80, {"WBGQL_HOLDS": str(register.path)}, "hold", "list")

    assert max(map(len, lines)) <= 80
    (row,) = (line for line in lines if "H1" in line)
    assert "acme/vision/3f2a9c1e" in row
    column = [line[row.index("reason-") :].split(" ")[0] for line in lines[lines.index(row) :]]
    assert "".join(column) == reason
    assert "2026-01-02" in row


def test_a_table_gives_times_to_the_second_and_numbers_to_six_digits(command) -> None:
    node = run("r1", createdAt="2026-01-02T03:04:05.678901Z", summaryMetrics='{"loss": 0.30000000000000004}')
    asked = ("runs", "list", "acme/vision", "--select", 'summary["loss"]')

    table = command(*asked, "--format", "table", answers=[runs(node)]).out
    exact = command(*asked, "--format", "csv", answers=[runs(node)]).out

    assert "2026-01-02 03:04:05Z" in table
    assert "   0.3 " in table
    assert "2026-01-02T03:04:05.678901Z" in exact
    assert "0.30000000000000004" in exact


class _Busy(BaseHTTPRequestHandler):
    asked = 0

    def do_POST(self) -> None:
        type(self).asked += 1
        body = b'{"error": "rate limited"}' if self.asked == 1 else b'{"data": {"viewer": null}}'
        self.send_response(429 if self.asked == 1 else 200)
        self.send_header("Retry-After", "1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep still."""


@pytest.fixture
def busy_server() -> Iterator[str]:
    """A server that is rate limited once, and then knows nobody."""
    with HTTPServer(("127.0.0.1", 0), _Busy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_wait_for_a_busy_server_is_told(busy_server: str, tmp_path: Path) -> None:
    environ = {**os.environ, "HOME": str(tmp_path), "WANDB_API_KEY": "k" * 40, "WANDB_BASE_URL": busy_server}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "whoami"], capture_output=True, env=environ, timeout=60, check=False
    )

    told, error = done.stderr.decode().splitlines()
    assert told.endswith("rate limited (HTTP 429); the server asks to wait 1 s; trying again in 1 s")
    assert (done.returncode, error.startswith("error: GetViewer: the server does not know")) == (4, True)
