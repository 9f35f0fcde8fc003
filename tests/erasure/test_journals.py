"""The chain names the first entry that does not fit, whatever was done to it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wbgql.erasure.records.journal import Entry, Head, find_break, make_entry


def _chain(length: int) -> list[Entry]:
    head, entries = Head(), []
    for number in range(length):
        entry = make_entry(head, f"2026-01-01T00:00:{number:02}Z", "outcome", {"n": number})
        entries.append(entry)
        head = Head(seq=entry.seq, hash=entry.hash)
    return entries


def _head(entries: list[Entry]) -> Head:
    return Head(seq=entries[-1].seq, hash=entries[-1].hash) if entries else Head()


@given(st.integers(0, 12))
def test_an_untouched_chain_is_whole(length):
    entries = _chain(length)

    assert find_break(entries) is None
    assert find_break(entries, _head(entries)) is None


@given(st.integers(2, 12), st.data())
def test_a_removed_entry_is_named(length, data):
    entries = _chain(length)
    gone = data.draw(st.integers(0, length - 1))
    head = _head(entries)

    found = find_break([*entries[:gone], *entries[gone + 1 :]], head)

    assert found is not None
    assert found.seq == gone + 1


@pytest.mark.parametrize(
    "change", [{"at": "x"}, {"kind": "x"}, {"body": {"n": 7}}, {"seq": 9}, {"prev": "x"}]
)
@given(st.data())
def test_a_changed_entry_is_named(change, data):
    entries = _chain(6)
    place = data.draw(st.integers(0, 5))
    entries[place] = msgspec.structs.replace(entries[place], **change)

    found = find_break(entries, _head(_chain(6)))

    assert found is not None
    assert found.seq == place + 1


def test_two_entries_in_the_wrong_order_are_named():
    entries = _chain(5)
    entries[2], entries[3] = entries[3], entries[2]

    found = find_break(entries)

    assert found is not None
    assert found.seq == 3


def test_an_entry_behind_the_signed_end_is_named():
    entries = _chain(4)

    found = find_break(entries, _head(entries[:3]))

    assert found is not None
    assert found.seq == 4


def test_another_last_entry_than_the_signed_one_is_named():
    entries = _chain(4)
    forged = [*entries[:3], make_entry(_head(entries[:3]), "later", "outcome", {"n": 99})]

    found = find_break(forged, _head(entries))

    assert found is not None
    assert found.seq == 4
