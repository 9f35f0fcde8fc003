"""Private files: their mode under any umask, and what is left behind when they cannot be written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from wbgql.private_files import create_private, replace_private


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_only_the_owner_reads_a_file_that_was_written_or_replaced(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    create_private(path, b"one")
    replace_private(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


def test_what_lies_there_is_not_written_into_even_behind_a_link(tmp_path: Path) -> None:
    link = tmp_path / "secret"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        create_private(link, b"one")
    assert not (tmp_path / "elsewhere").exists()


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.write_bytes(b"theirs")
    link = tmp_path / "secret"
    link.symlink_to(other)
    replace_private(link, b"ours")
    assert (other.read_bytes(), link.read_bytes(), link.is_symlink()) == (b"theirs", b"ours", False)


def test_a_failed_replacement_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        replace_private(path, b"two")
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]
