"""Every operation of the package against the SDL and its result type, and what holds for all of them."""

from __future__ import annotations

import re

import pytest

from wbgql.client import OPERATIONS as CLIENT_OPERATIONS
from wbgql.documents import Documents, Operation, load_documents
from wbgql.documents.result_types import check_result_types
from wbgql.erasure.operations import OPERATIONS as ERASURE_OPERATIONS
from wbgql.resources import queries_dir

OPERATIONS = (*CLIENT_OPERATIONS, *ERASURE_OPERATIONS)


@pytest.fixture(scope="module")
def documents() -> Documents:
    return load_documents(validate=True)


def test_every_document_is_valid_against_the_sdl_and_has_a_result_type(documents: Documents) -> None:
    assert sorted(operation.name for operation in OPERATIONS) == sorted(documents.names)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_the_result_type_fits_the_selection(documents: Documents, operation: Operation[object]) -> None:
    check_result_types(documents, [operation])


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_paged_operations_take_first_and_after(documents: Documents, operation: Operation[object]) -> None:
    variables = documents.get(operation.name).variables

    assert operation.paged == ({"first", "after"} <= variables.keys())


def test_operation_names_are_verb_and_noun(documents: Documents) -> None:
    names = [name for name in documents.names if not re.fullmatch(r"(?:[A-Z][a-z]+){2,}", name)]

    assert names == []


def test_every_operation_has_a_comment_that_says_what_it_is_for() -> None:
    for file in queries_dir().glob("*.graphql"):
        lines = file.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if line.startswith(("query ", "mutation ")):
                assert lines[number - 1].startswith("# "), f"{file.name}:{number + 1}"


def test_mutations_that_destroy_stand_in_a_file_of_their_own(documents: Documents) -> None:
    for name in documents.names:
        prepared = documents.get(name)
        if prepared.kind == "query":
            continue  # what decides over a deletion is read there too
        destroys = re.search(r"\b(delete|undelete|purge|move|stop|unlink)[A-Z]", prepared.text) is not None
        assert destroys == prepared.file.endswith("deletes.graphql"), name


def test_no_mutation_that_deletes_takes_a_filter(documents: Documents) -> None:
    for name in documents.names:
        text = documents.get(name).text
        if re.search(r"\bdelete[A-Z]", text):
            assert "filters" not in text, name


def test_no_operation_asks_for_a_heavy_field(documents: Documents) -> None:
    for name in documents.names:
        assert not re.search(r"\b(historyKeys|systemMetrics)\b", documents.get(name).text), name
