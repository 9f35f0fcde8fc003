"""The table of what each command can send: whole, true, and made of what the source says."""

from __future__ import annotations

import pytest

from wbgql.cli.shared.command_operations import COMMAND_OPERATIONS
from wbgql.documents import load_documents


def test_every_operation_of_the_table_is_there_and_commands_send_nearly_all() -> None:
    known = set(load_documents().names)
    used = {name for names in COMMAND_OPERATIONS.values() for name in names}

    assert used <= known
    assert len(known - used) < 5, sorted(known - used)


def test_the_commands_that_everybody_uses_have_their_operations() -> None:
    assert COMMAND_OPERATIONS["whoami"] == ("GetViewer",)
    assert "ListRuns" in COMMAND_OPERATIONS["runs list"]
    assert "UpsertRun" in COMMAND_OPERATIONS["runs tag"]
    assert {"DeleteRun", "DeleteArtifact", "LookUpRun"} <= set(COMMAND_OPERATIONS["erase apply"])
    assert not {"DeleteRun", "UpsertRun"} & set(COMMAND_OPERATIONS["runs export"])


@pytest.mark.full
def test_the_table_is_what_the_source_says() -> None:
    pytest.importorskip("mypy")
    from tests.command_operations import TABLE, derive, write

    assert write(derive()) == TABLE.read_text(encoding="utf-8"), "run `python -m tests.command_operations`"
