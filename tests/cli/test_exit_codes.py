"""Every error of the package has its exit code, and the table says what each means."""

from __future__ import annotations

import pytest

from wbgql import errors
from wbgql.cli.shared.exit_codes import CODES, code_of, table
from wbgql.runs import AmbiguousName

ERRORS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.WbgqlError)
]


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_class_has_a_code_of_its_own(kind: type[errors.WbgqlError]) -> None:
    assert CODES[kind] > 0


def test_the_most_specific_class_decides() -> None:
    assert code_of(errors.Held("held")) == 6
    assert code_of(errors.NotFound("gone")) == 13
    assert code_of(AmbiguousName("name")) == 2


def test_anything_else_is_an_internal_error() -> None:
    assert code_of(KeyError("x")) == 1


def test_the_table_names_every_code_once_and_every_class() -> None:
    rows = table()

    assert len({row.code for row in rows}) == len(rows)
    assert {name for row in rows for name in row.errors} == {kind.__name__ for kind in ERRORS}
    assert {0, 8, 11, 130, 141} <= {row.code for row in rows}
