"""The table of docs/servers.md is what the commands say of the local server in each of its modes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doctor.modes import MODES, row

TABLE = (Path(__file__).resolve().parents[2] / "docs" / "servers.md").read_text(encoding="utf-8")
QUICK = ("as it comes", "--introspection off", "--without Entity.members")


@pytest.mark.parametrize("mode", QUICK)
def test_what_is_said_of_a_mode_stands_in_the_docs(mode: str) -> None:
    assert row(mode) in TABLE


@pytest.mark.full
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in QUICK])
def test_what_is_said_of_every_mode_stands_in_the_docs(mode: str) -> None:
    assert row(mode) in TABLE
