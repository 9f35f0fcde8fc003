"""Pages in a real browser: the key typed into the form, charts seen, nothing complained about."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path

import pytest

from tests.caller import new_project
from tests.server.browser import Browser, require_chromium
from tests.server.html_pages import HOSTILE

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def program():
    return require_chromium(Path(tempfile.gettempdir()) / "wbgql-tests-chromium.lock")


@pytest.fixture(scope="module")
def project(program):
    return new_project()


@pytest.fixture
def browser(program, tmp_path):
    with Browser(program, tmp_path / "profile") as one:
        one.look()
        yield one


@pytest.fixture
def run_url(caller, project):
    """The URL that the SDK would print for a run with metrics, system metrics and hostile names."""
    names = [name for name in HOSTILE if "/" not in name]
    caller.upsert(
        project,
        name="r0",
        displayName=HOSTILE[0],
        notes=HOSTILE[1],
        tags=names,
        config={name: {"value": name} for name in HOSTILE},
    )
    rows = [{"_step": n, "loss": math.exp(-n), "val/acc": n / 20, HOSTILE[1]: n} for n in range(20)]
    caller.log(project, "r0", *rows)
    events = [
        json.dumps({"_timestamp": 1.79e9 + n, "system.gpu.0.temp": n, "system.gpu.1.temp": 9})
        for n in range(5)
    ]
    lines = [*HOSTILE, "\x1b[31mred\x1b[0m"]
    caller.stream(
        project, "r0", files={"wandb-events.jsonl": {"content": events}, "output.log": {"content": lines}}
    )
    return f"{caller.base_url}/admin/{project}/runs/r0"


def sign_in(browser, caller, url):
    browser.open(url)
    browser.run(f"document.querySelector('#key').value = {json.dumps(caller.api_key)}")
    browser.run("document.querySelector('.sign-in button').click()")
    browser.wait_for_load()


def test_the_run_url_opens_with_charts_that_are_seen_and_answer_the_pointer(browser, caller, run_url):
    sign_in(browser, caller, run_url)

    assert browser.run("location.href") == run_url
    assert browser.run("document.cookie") == "", "no script can read the session"
    assert browser.run("document.querySelector('h1 bdi').textContent") == HOSTILE[0]
    lines = browser.run(
        "[...document.querySelectorAll('.line path')].map(one => "
        "[one.getBoundingClientRect().width, one.getBoundingClientRect().height, getComputedStyle(one).stroke])"
    )
    assert len(lines) == 3
    for width, height, stroke in lines:
        assert width > 150
        assert height > 40
        assert stroke == "rgb(67, 83, 214)"
    browser.run(
        "(() => { const svg = document.querySelector('svg[aria-label=loss]'), box = svg.getBoundingClientRect();"
        " svg.dispatchEvent(new PointerEvent('pointermove', {clientX: box.left + box.width / 8, clientY: 0})) })()"
    )
    assert browser.run("document.querySelector('.tip').innerText").split() == ["0", "1"]
    assert browser.problems == []


def test_every_page_fits_a_phone_and_follows_dark_mode(browser, caller, run_url, project):
    sign_in(browser, caller, run_url)
    base = f"{caller.base_url}/admin/{project}"
    pages = [run_url, *(f"{run_url}/{tab}" for tab in ("system", "logs", "files", "artifacts"))]
    pages += [base, f"{base}/artifacts", f"{base}/deleted", f"{caller.base_url}/admin", f"{caller.base_url}/"]
    browser.look(width=360, height=740, phone=True)

    for url in pages:
        browser.open(url)
        assert browser.run("document.documentElement.scrollWidth") <= 360, url
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    light = browser.screenshot()
    browser.look(dark=True)
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(18, 20, 27)"
    assert browser.screenshot() != light
    assert browser.problems == []


def test_who_is_signed_in_may_follow_a_link_from_another_site(browser, caller, run_url):
    sign_in(browser, caller, run_url)
    browser.open(f"{caller.base_url.replace('127.0.0.1', 'localhost')}/~/login")

    browser.run(f"location.href = {json.dumps(run_url)}")
    while browser.run("location.href") != run_url:
        browser.wait_for_load()

    assert browser.run("document.querySelector('h1 bdi').textContent") == HOSTILE[0]
    assert browser.problems == []


def test_the_filter_box_is_sent_with_enter_and_says_what_is_wrong(browser, caller, run_url, project):
    sign_in(browser, caller, f"{caller.base_url}/admin/{project}")

    browser.run("document.querySelector('[name=where]').value = 'state == \"finished\"'")
    browser.run("document.querySelector('.filter button').click()")
    browser.wait_for_load()
    assert browser.run("document.querySelector('.empty').innerText") == "No run matches."

    browser.run("document.querySelector('[name=where]').value = 'summary.x > 1'")
    browser.run("document.querySelector('.filter button').click()")
    browser.wait_for_load()
    assert 'write summary["x"]' in browser.run("document.querySelector('.problem').innerText")
