"""What a certificate is asked for after a backup was restored is taken from one that holds."""

from __future__ import annotations

import pytest

from tests.erasure.certified import CERTIFIER, HandMadeCase
from tests.erasure.made_plans import BASE_URL, CASE_KEY, STRANGER
from wbgql.erasure.evidence.returned import read_erased
from wbgql.errors import NotVerified


@pytest.fixture
def made(tmp_path):
    made = HandMadeCase(tmp_path)
    made.apply()
    made.verify()
    made.certify()
    return made


def test_the_erased_runs_are_those_of_the_population(made):
    expected = {made.subject(0), made.subject(1)}

    assert read_erased(made.bundle, CASE_KEY, BASE_URL) == expected
    assert read_erased(made.bundle, CASE_KEY, BASE_URL, frozenset([CERTIFIER.public])) == expected


def test_a_population_that_was_changed_names_no_run(made):
    file = made.bundle / "population.csv"
    file.write_text(file.read_text().replace(made.subject(1), "a" * 64))

    with pytest.raises(NotVerified, match="does not hold"):
        read_erased(made.bundle, CASE_KEY, BASE_URL)


def test_a_stranger_s_certificate_is_refused_where_keys_are_given(made):
    with pytest.raises(NotVerified, match="trusted key"):
        read_erased(made.bundle, CASE_KEY, BASE_URL, frozenset([STRANGER.public]))
