"""`wbgql erase report`."""

from __future__ import annotations

import json

import pytest

from tests.cli.test_erase_certify import Evidence


@pytest.fixture
def evidence(command, tmp_path):
    made = Evidence(command, tmp_path)
    made.case.verify()
    assert made.certify().code == 0
    return made


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("r.html", "<!doctype html>"),
        ("r.md", "> **TEST**"),
        ("r.csv", "certificate,"),
        ("r.txt", "> **TEST**"),
    ],
)
def test_the_format_is_that_of_the_file(evidence, name, start):
    got = evidence.command("erase", "report", evidence.file("plan.json"), "-o", evidence.file(name))

    assert got.code == 0, got.err
    assert (evidence.folder / name).read_text().startswith(start)


def test_a_report_of_a_folder_goes_to_stdout(evidence):
    got = evidence.command("erase", "report", str(evidence.case.bundle), "--format", "json")

    assert json.loads(got.out)["title"] == "Runs hidden"
    assert "TEST" in got.err
    assert "whose key signed was not checked" in got.err


def test_22_of_what_does_not_hold_there_is_no_report(evidence):
    (evidence.case.bundle / "population.csv").write_text("")
    got = evidence.command("erase", "report", evidence.file("plan.json"), "-o", evidence.file("r.html"))

    assert (got.code, "no report is made" in got.err) == (10, True)
    assert not (evidence.folder / "r.html").exists()


def test_without_a_certificate_it_says_how_to_get_one(command, tmp_path):
    got = command("erase", "report", str(tmp_path / "plan.json"))

    assert (got.code, "wbgql erase certify" in got.err) == (2, True)
