"""A verification is canonical, and its controls say when null means absent."""

from __future__ import annotations

import msgspec
import pytest

from wbgql.erasure.records.canonical import encode
from wbgql.erasure.records.verification import Controls, Finding, Verification


def _verification(**fields):
    given = {"plan": "sha256:0", "kind": "reads", "at": "2026-01-01T00:00:00Z", "verdict": "hidden"}
    return Verification(**given | {"counts": {"runs": 1}} | fields)


def test_it_goes_through_canonical_bytes_and_back():
    made = _verification(findings=[Finding(subject="ab", kind="run", state="visible", run=3)])

    assert msgspec.json.decode(encode(made), type=Verification) == made
    assert made.digest != _verification().digest


@pytest.mark.parametrize(
    ("controls", "held"),
    [
        (Controls(positive=2, negative=2), True),
        (Controls(positive=1, empty=1, negative=2), True),
        (Controls(empty=1, negative=1), True),
        (Controls(positive=2, failed=1, negative=2), False),
        (Controls(positive=2, negative=1, broken=1), False),
        (Controls(), False),
    ],
)
def test_null_means_absent_only_where_every_project_has_a_control(controls, held):
    assert controls.held is held


@pytest.mark.parametrize(
    ("verdict", "good"),
    [
        ("hidden", True),
        ("absent", True),
        ("not_hidden", False),
        ("cannot_verify", False),
        ("partial", False),
        ("present", False),
    ],
)
def test_only_what_was_hoped_for_is_good(verdict, good):
    assert _verification(verdict=verdict).is_good is good
