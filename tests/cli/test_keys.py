"""Shell completion: keys of the project for fields, nothing where they cannot be had; bars on terminals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import ShellComplete

from tests.cli.answers import fields
from tests.fakes import FakeTransport
from wbgql.cli.main import cli
from wbgql.cli.shared.app import App
from wbgql.cli.shared.bars import bar, write_counted
from wbgql.cli.shared.output import Listing
from wbgql.client import Client
from wbgql.errors import ServerUnavailable
from wbgql.safety.holds import HoldRegister
from wbgql.settings import Settings
from wbgql.wire.session import Session

KEYS = fields(
    "summary_metrics.val/acc", "summary_metrics.loss.min", "config.lr.value", "config.model.value.depth",
    "config._wandb.value.x", "summary_metrics",
)  # fmt: skip


@pytest.fixture
def complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What the shell would offer after `words`; `.sent` counts what was asked of the server."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("_WBGQL_COMPLETE", raising=False)
    sent: list[Any] = []

    def complete(*words: str, answer: Any = KEYS) -> list[str]:
        transport = FakeTransport(answer)

        def make_client(**given: Any) -> Client:
            settings = Settings(**{"api_key": "k" * 40, "entity": "acme", **given})
            return Client(
                settings=settings, session=Session(transport), holds=HoldRegister(tmp_path / "holds.json")
            )

        app = App(make_client=make_client, environ={"WANDB_ENTITY": "acme"})
        *before, incomplete = words
        offered = ShellComplete(cli, {"obj": app}, "wbgql", "_WBGQL_COMPLETE").get_completions(
            before, incomplete
        )
        sent.extend(transport.sent)
        return [item.value for item in offered]

    complete.sent = sent  # type: ignore[attr-defined]  # a note beside the function
    return complete


def test_fields_complete_with_the_keys_of_the_project(complete) -> None:
    assert complete("runs", "list", "acme/vision", "--select", "summ") == [
        'summary["loss"]["min"]',
        'summary["val/acc"]',
    ]
    assert complete("runs", "list", "acme/vision", "--select", "config") == [
        'config["lr"]',
        'config["model"]["depth"]',
    ]


def test_a_sign_is_kept(complete) -> None:
    offered = complete("runs", "list", "acme/vision", "--order", "+c")

    assert offered == ["+created_at", '+config["lr"]', '+config["model"]["depth"]']


def test_the_server_is_asked_once_in_a_while(complete) -> None:
    for _ in range(3):
        complete("runs", "list", "acme/vision", "--select", "summ")

    assert len(complete.sent) == 1
    complete("runs", "list", "acme/other", "--select", "summ")
    assert len(complete.sent) == 2


@pytest.mark.parametrize("answer", [{"project": None}, RuntimeError("boom"), ServerUnavailable("gone")])
def test_what_goes_wrong_is_silence(complete, capfd, answer) -> None:
    assert complete("runs", "list", "acme/vision", "--select", "summ", answer=answer) == []
    assert capfd.readouterr() == ("", "")


def test_without_a_path_the_configured_project_is_asked_or_none(complete) -> None:
    assert complete("runs", "list", "--select", "summ") == []
    assert complete.sent == []
    assert len(complete("--project", "vision", "runs", "list", "--select", "summ")) == 2


def _listing() -> Listing[int]:
    return Listing(range(3), columns={"n": lambda item: item})


@pytest.mark.parametrize(
    ("shows", "quiet", "drawn"), [(True, False, True), (False, False, False), (True, True, False)]
)
def test_a_bar_is_drawn_on_stderr_alone_and_only_where_somebody_watches(
    capsys, tmp_path: Path, shows, quiet, drawn
) -> None:
    target = tmp_path / "out"
    app = App(shows_bars=lambda: shows, quiet=quiet)
    assert write_counted(app, "reading runs", _listing(), "jsonl", target) == 3
    out, err = capsys.readouterr()

    assert (out, bool(err)) == ("", drawn)
    assert target.read_text() == '{"n":0}\n{"n":1}\n{"n":2}\n'


def test_a_bar_ends_where_the_work_fails(capsys, tmp_path: Path) -> None:
    def failing():
        yield 1
        raise ServerUnavailable("gone")

    app = App(shows_bars=lambda: True)
    with pytest.raises(ServerUnavailable):
        write_counted(
            app, "x", Listing(failing(), columns={"n": lambda item: item}), "jsonl", tmp_path / "out"
        )
    assert list(tmp_path.iterdir()) == []
    with bar(app, "again") as progress:  # rich allows one live display at a time
        progress.report(1, 2)
