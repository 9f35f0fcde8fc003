"""What a certificate is asked for after a backup was restored is taken from one that holds."""

from __future__ import annotations

import pytest

from tests.erasure.certified import CERTIFIER, HandMadeCase
from tests.erasure.made_plans import BASE_URL, CASE_KEY, STRANGER, make_plan
from wbgql.erasure.evidence.returned import Erased, read_erased
from wbgql.erasure.records.plan import Server
from wbgql.errors import NotVerified, UsageError


@pytest.fixture
def made(tmp_path):
    made = HandMadeCase(tmp_path)
    made.apply()
    made.verify()
    made.certify()
    return made


def test_the_erased_runs_are_those_of_the_population(made):
    expected = Erased(BASE_URL, frozenset({made.subject(0), made.subject(1)}))

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


def test_a_certificate_of_the_clouds_other_host_is_about_the_same_server(tmp_path):
    server = Server(base_url="https://api.wandb.ai", deployment="cloud", version=None, is_test=False)
    made = HandMadeCase(tmp_path, make_plan(required=2, server=server))
    made.apply()
    made.verify()
    made.certify()

    erased = read_erased(made.bundle, CASE_KEY, "https://api.forge.coreweave.com")

    assert erased.base_url == "https://api.wandb.ai"
    assert CASE_KEY.run(erased.base_url, made.plan.runs[0].path) in erased.subjects
    with pytest.raises(UsageError, match=r"is about https://api\.wandb\.ai, but"):
        read_erased(made.bundle, CASE_KEY, "https://wandb.acme.com")
