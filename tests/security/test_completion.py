"""Completed words are text to the shell, whatever the server calls its keys."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wbgql.cli.completion import TYPED, quote_for_bash
from wbgql.cli.shared.app import App
from wbgql.cli.shared.completion_keys import _cache_file

PARTS = [
    "';touch PWN;'", '";touch PWN;"', "$(touch PWN)", "`touch PWN`", "\\';touch PWN;\\'", ";touch PWN",
    " & touch PWN &", "!!|touch PWN", '["a b"]', "*", ",touch PWN,", "'\"'\"';touch PWN;'", "${PWN}~{a,b}",
    "\\", ":touch PWN", "|touch PWN", ">PWN", "#", "=(touch PWN)", "<(touch PWN)", "é';touch PWN;'",
]  # fmt: skip
# Words that differ in their third character, so that three are enough to complete one.
WORDS = [f"q{chr(ord('a') + number)}{part}" for number, part in enumerate(PARTS)]
# What a line or a terminal would not take as text is not offered.
NOT_OFFERED = ["r\ntouch PWN\n", "s\ttouch PWN", "t\x15touch PWN\r", "u\x1b[A\r"]
OPENINGS = ("", "'", '"')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a `wbgql` that completes from a cache, and otherwise notes its last argument."""
    environ = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "k" * 40}
    old = dict(os.environ)
    os.environ.update(XDG_CACHE_HOME=str(tmp_path / "cache"))
    try:
        cache = _cache_file(App(environ=environ), "acme/vision")
    finally:
        os.environ.clear()
        os.environ.update(old)
    cache.parent.mkdir(parents=True)
    cache.write_text(json.dumps([*WORDS, *NOT_OFFERED]), encoding="utf-8")
    program = tmp_path / "bin" / "wbgql"
    program.parent.mkdir()
    real = f"exec {shlex.quote(sys.executable)} -m wbgql"
    program.write_text(
        f'#!/bin/sh\nif [ -n "$_WBGQL_COMPLETE" ] || [ "$1" = completion ]; then {real} "$@"; fi\n'
        f"for last; do :; done\nprintf '%s\\0' \"$last\" >> {shlex.quote(str(tmp_path / 'got'))}\n"
    )
    program.chmod(0o755)
    return tmp_path


def _control_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, folder: Path, *command: str) -> None:
        self.folder = folder
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env=self.environ(folder),
            start_new_session=True,
            preexec_fn=_control_terminal,  # noqa: PLW1509  # no threads here; fish wants to control its terminal
        )
        os.close(slave)
        self.seen = b""

    @staticmethod
    def environ(folder: Path) -> dict[str, str]:
        return {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(folder),
            "TERM": "dumb",
            "LC_ALL": "C.UTF-8",
            "XDG_CACHE_HOME": str(folder / "cache"),
            "WANDB_BASE_URL": "http://127.0.0.1:9",
            "WANDB_API_KEY": "k" * 40,
        }

    def send(self, text: str) -> None:
        os.write(self.master, text.encode())

    def read(self, seconds: float) -> None:
        if select.select([self.master], [], [], seconds)[0]:
            self.seen += os.read(self.master, 65536)

    def wait_for(self, found: str) -> None:
        self.wait_until(lambda: found.encode() in self.seen)

    def wait_until(self, happened: Callable[[], bool]) -> None:
        end = time.monotonic() + 20.0
        while not happened():
            assert time.monotonic() < end, self.seen.decode(errors="replace")[-2000:]
            self.read(0.05)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def got(folder: Path) -> list[str]:
    file = folder / "got"
    return file.read_text().split("\0")[:-1] if file.exists() else []


SHELLS = {
    "bash": (("bash", "--norc", "--noprofile", "-i"), 'eval "$(wbgql completion bash)"; echo rea""dy\r'),
    "zsh": (
        ("zsh", "-f", "-i"),
        'autoload -Uz compinit; compinit -u; eval "$(wbgql completion zsh)"; echo rea""dy\r',
    ),
    "fish": (("fish", "--no-config", "-i"), 'wbgql completion fish | source; echo rea""dy\r'),
}


@pytest.mark.full
@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize("shell", SHELLS)
def test_a_real_shell_takes_completed_words_as_text(folder: Path, shell: str, opening: str) -> None:
    command, setup = SHELLS[shell]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{shell} is not installed")
    # fish keeps a quote open after a comma: more may follow.
    words = [word for word in WORDS if not (shell == "fish" and opening and word.endswith(","))]
    terminal = Terminal(folder, *command)
    try:
        terminal.send(setup)
        terminal.wait_for("ready")
        for number, word in enumerate(words, 1):
            terminal.send(f"wbgql runs list acme/vision --select {opening}{word[:2]}\t\r")
            terminal.wait_until(lambda number=number: len(got(folder)) >= number)
    finally:
        terminal.close()
    assert got(folder) == words
    assert not (folder / "PWN").exists()


TYPED_BEFORE = "wbgql runs list acme/vision --select "


def completed(word: str, opening: str) -> str | None:
    """The command line after bash has completed `word`: it closes an open quote unless the word ends so."""
    inserted = quote_for_bash(word, {TYPED: f"{TYPED_BEFORE}{opening}{word[:2]}"})
    if inserted is None:
        return None
    return f"{opening}{inserted}" + ("" if opening and inserted.endswith(opening) else opening)


def bash_reads(lines: list[str | None], folder: Path) -> list[str]:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    script = f"printf '%s\\0' {' '.join(map(str, lines))}"
    done = subprocess.run(["bash"], input=script.encode(), cwd=folder, capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("opening", OPENINGS)
def test_bash_reads_quoted_words_as_they_are(tmp_path: Path, opening: str) -> None:
    assert bash_reads([completed(word, opening) for word in WORDS], tmp_path) == WORDS
    assert list(tmp_path.iterdir()) == []


TEXTS = st.text(
    st.one_of(st.sampled_from("'\"\\$`!;,*~{}() "), st.characters(codec="utf-8", exclude_categories=["C"]))
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXTS, min_size=1), st.sampled_from(OPENINGS))
def test_bash_reads_any_quoted_words_as_they_are(tmp_path: Path, parts: list[str], opening: str) -> None:
    words = [f"qx{part}" for part in parts]

    assert bash_reads([completed(word, opening) for word in words], tmp_path) == words


@pytest.mark.parametrize(
    "typed",
    [
        "q'a",
        'summary["a',
        "'q'\\''a",
        "q\\ ",
        "$q",
        "'a'b",
        "\"$(wbgql --select 'q",
        "`wbgql q",
        '"q$',
        "$'q",
        "--select='q",
    ],
)
def test_where_the_place_of_a_word_is_open_bash_is_offered_nothing(typed: str) -> None:
    assert quote_for_bash("q'; touch PWN;'", {TYPED: f"{TYPED_BEFORE}{typed}"}) is None


def test_a_script_that_does_not_say_what_was_typed_gets_plain_words_alone() -> None:
    assert quote_for_bash("created_at", {}) == "created_at"
    assert quote_for_bash("q';touch PWN;'", {}) is None


@pytest.mark.parametrize("shell", SHELLS)
def test_the_command_answers_each_shell(folder: Path, shell: str) -> None:
    """What the script of each shell gets, without the shell."""
    environ = {
        "_WBGQL_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": f"wbgql runs list acme/vision --select {'' if shell == 'fish' else 'q'}",
        "COMP_CWORD": "q" if shell == "fish" else "5",
        TYPED: f"{TYPED_BEFORE}'q",
    }
    done = subprocess.run(
        [str(folder / "bin" / "wbgql")], env={**Terminal.environ(folder), **environ},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    given = done.stdout.splitlines()
    words = given[1::3] if shell == "zsh" else [line.partition(",")[2] for line in given]
    expected = [quote_for_bash(word, environ) for word in WORDS] if shell == "bash" else WORDS
    assert words == expected, done.stderr
