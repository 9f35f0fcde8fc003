"""Canonical bytes: the same as another implementation of RFC 8785."""

from __future__ import annotations

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from wbgql.erasure.records.canonical import digest, encode, is_digest
from wbgql.errors import UsageError

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
_KEYS = st.text(st.characters(max_codepoint=127))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(_VALUES)
def test_the_bytes_are_those_of_another_implementation(value):
    assert encode(value) == rfc8785.dumps(value)


@pytest.mark.parametrize("value", [0.5, {"a": [1.0]}, {"ä": 1}, "\ud800"])
def test_what_has_no_certain_form_is_refused(value):
    with pytest.raises(UsageError):
        encode(value)


def test_a_digest_is_told_from_other_texts():
    found = digest({"a": 1})

    assert is_digest(found)
    assert not is_digest(found[:-1])
    assert not is_digest(found.removeprefix("sha256:"))
    assert not is_digest(found[:-1] + "g")
