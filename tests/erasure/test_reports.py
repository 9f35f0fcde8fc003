"""Reports: exceptions first, no outside parts, nothing of a certificate that does not hold, no markup of others."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from tests.erasure.certified import CERTIFIER, HandMadeCase
from tests.erasure.made_plans import STRANGER, clocks, make_plan, planned_artifact, planned_run
from wbgql.erasure.records.plan import Caps, ExcludedRun, NotRead, Request
from wbgql.erasure.records.verification import Finding, Residual
from wbgql.erasure.reports.contents import MAX_LISTED
from wbgql.erasure.reports.rendering import FORMATS, read_contents, render
from wbgql.erasure.reports.timeline import MAX_EVENTS, WIDTH, make_timeline
from wbgql.errors import NotVerified, StoreError, UsageError


@pytest.fixture
def made(tmp_path):
    """A case in which much went otherwise."""
    plan = make_plan(
        planned_run("r1", planned_artifact("a"), planned_artifact("b", decision="keep", reason="linked")),
        planned_run("r2", planned_artifact("c")),
        planned_run("r3"),
        required=2,
        excluded=[ExcludedRun(path="acme/vision/r5", reason="held", detail="H1 of Anna")],
        not_read=[NotRead(path="acme/secret", reason="not visible")],
    )
    made = HandMadeCase(tmp_path, plan)
    made.apply({"r2": "denied"})
    made.pass_(minutes=5)
    made.verify("cannot_verify")
    made.verify(residuals=[Residual(subject="5" * 64, kind="system_artifact", reason="x")])
    made.certify(keep_until="2028-01-01", keep_basis="CCPA-7101")
    return made


def _render(made: HandMadeCase, format_: str, **fields: Any) -> str:
    contents, items = read_contents(made.bundle, **fields)
    return render(contents, items, format_)


class _Page(HTMLParser):
    """Collects the tags, the attributes and the texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_exceptions_come_first_and_each_kind_is_counted(made):
    page = _Page(_render(made, "html")).text
    places = [
        page.index(head) for head in ("Exceptions", "Timeline", "Population", "Approvals", "What stays")
    ]

    assert places == sorted(places)
    said = re.sub(r"\s+", " ", page)
    for words in (
        "1runs: this key may not delete it: untouched",
        "1artifact versions: left, because its run was not hidden",
        "1runs: matched the rule and was left out (under a hold)",
        "1left: system artifacts",
        "1named in the scope, and could not be read",
        "1verifications that found runs, or could prove nothing",
    ):
        assert words in said
    assert "linked into a portfolio or a registry" in said
    assert "kept until 2028-01-01 (CCPA-7101)" in said


def test_a_page_needs_nothing_from_outside_and_runs_nothing(made):
    page = _Page(_render(made, "html"))

    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name in ("src", "href") or name.startswith("on")]
    assert "url(http" not in page.text
    assert "@import" not in page.text
    assert ("http-equiv", "Content-Security-Policy") in page.attributes


@pytest.mark.parametrize("format_", ["html", "md", "json", "csv"])
def test_a_test_is_stamped_in_every_format(made, format_):
    assert "TEST" in _render(made, format_) or '"is_test": true' in _render(made, format_)


def test_a_real_server_is_not_stamped(tmp_path):
    server = msgspec.structs.replace(make_plan().server, is_test=False, base_url="https://api.wandb.ai")
    made = HandMadeCase(tmp_path, make_plan(server=server))
    made.apply()
    made.verify()
    made.certify()

    for format_ in FORMATS:
        assert "TEST" not in _render(made, format_)


def test_where_nothing_went_otherwise_that_is_said(tmp_path):
    made = HandMadeCase(tmp_path)
    made.apply()
    made.verify()
    made.certify()

    assert "None: everything that matched the rule was hidden" in _render(made, "html")
    assert "None: everything that matched the rule was hidden" in _render(made, "md")
    assert json.loads(_render(made, "json"))["exceptions"] == []


HOSTILE = "<script>alert(1)</script>\"'&|`[x](javascript:y)\n=cmd"


def test_24_what_people_wrote_is_text_and_never_markup(tmp_path):
    made = HandMadeCase(tmp_path, make_plan(request=Request(reference=HOSTILE, basis=HOSTILE)))
    made.apply()
    made.pass_(days=8)
    made.verify()
    made.certify(attest=HOSTILE, keep_until=HOSTILE, keep_basis=HOSTILE)
    page = _Page(_render(made, "html"))
    markdown = _render(made, "md")

    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in page.text
    assert "<script>" not in markdown
    assert "[x](javascript" not in markdown
    assert not [line for line in markdown.splitlines() if line.startswith("=cmd")]


def test_24_a_spreadsheet_finds_no_formula(made):
    rows = list(csv.reader(io.StringIO(_render(made, "csv"))))
    raw = list(csv.reader(io.StringIO((made.bundle / "population.csv").read_text())))

    assert not [
        cell for row in rows + raw for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    ]
    assert [row[8] for row in rows[1:]] == [row[5] for row in raw[1:]]
    assert rows[1][-1] == "hidden by this job, read as absent"


def test_claims_without_proof_stand_at_the_very_top(tmp_path):
    made = HandMadeCase(tmp_path)
    made.apply()
    made.verify()
    made.verify("present", findings=[Finding(subject=made.subject(0), kind="run", state="stored", run=0)])
    made.certify()
    contents, items = read_contents(made.bundle)

    assert (contents.exceptions[0].words, contents.exceptions[0].tone) == (
        "said to be gone, but still in the store",
        "bad",
    )
    assert contents.listed == [items[0]]


def test_long_lists_are_cut_and_say_so(tmp_path):
    made = HandMadeCase(
        tmp_path,
        make_plan(
            *(planned_run(f"r{number}") for number in range(MAX_LISTED + 20)),
            caps=Caps(max_runs=MAX_LISTED + 20, max_percent=100),
        ),
    )
    made.apply({f"r{number}": "denied" for number in range(MAX_LISTED + 10)})
    made.verify()
    made.certify()

    assert "and 10 more; population.csv has every line" in _render(made, "html")
    assert len(_render(made, "csv").splitlines()) == MAX_LISTED + 21


@pytest.mark.parametrize("part", ["certificate.json", "journal.jsonl", "population.csv"])
def test_22_nothing_is_made_of_what_does_not_hold(made, part):
    file = made.bundle / part
    file.write_bytes(file.read_bytes()[:-2] + b"\n")

    with pytest.raises(NotVerified):
        read_contents(made.bundle)


def test_whose_key_signed_is_said_only_where_it_was_checked(made):
    for format_ in ("html", "md"):
        assert "NOT CHECKED: no trusted keys were given" in _render(made, format_)
    trusted = _render(made, "html", trusted=frozenset([CERTIFIER.public]))
    assert f"checked: {CERTIFIER.key_id} is one of 1" in trusted
    assert "NOT CHECKED" not in trusted
    with pytest.raises(NotVerified, match="trusted key"):
        read_contents(made.bundle, frozenset([STRANGER.public]))


def test_what_is_no_folder_of_a_certificate_is_told(tmp_path):
    with pytest.raises(UsageError, match="certify"):
        read_contents(tmp_path / "none")
    with pytest.raises(StoreError):
        read_contents(tmp_path)


def test_the_timeline_fits_and_keeps_the_order(tmp_path):
    made = HandMadeCase(tmp_path)
    made.apply()
    for number in range(40):
        made.verify("cannot_verify" if number == 20 else "hidden")
        made.pass_(days=30)
    made.verify()
    made.certify()
    contents, _ = read_contents(made.bundle)
    line = make_timeline(contents.certificate)

    assert len(line.events) <= MAX_EVENTS
    assert line.left_out > 0
    assert [one.event.at for one in line.events] == sorted(one.event.at for one in line.events)
    assert all(0 < one.x < WIDTH for one in line.events)
    assert "bad" in [one.event.mark for one in line.events]
    for lane in ("decided", "done", "proved"):
        xs = [one.x for one in line.events if one.event.lane == lane]
        assert all(after - before >= 17 for before, after in pairwise(xs))


def test_a_clock_that_nobody_knows_is_drawn_open(tmp_path):
    made = HandMadeCase(tmp_path, make_plan(clocks=clocks(undelete=None, retention=30 * 86400)))
    made.apply()
    made.verify()
    made.certify()
    contents, _ = read_contents(made.bundle)
    bars = {bar.name: bar for bar in make_timeline(contents.certificate).bars}
    page = _render(made, "html")

    assert bars["undelete window"].x2 is None
    assert bars["retention of runs"].x2 is not None
    assert page.count('class="clock open"') == 3
    assert "for how long is not known" in page
