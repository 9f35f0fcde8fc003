"""Who gets in: the sign-in form, its cookies, and what a session may not outlive."""

from __future__ import annotations

import secrets
from urllib.parse import urljoin

import pytest
import requests

from tests.server.html_pages import Page, Visitor
from wbgql.server import add_user, start
from wbgql.server.accounts import hash_key
from wbgql.server.pages.routes import HEADERS
from wbgql.server.store.database import Store


@pytest.fixture
def visitor(local_server):
    return Visitor(local_server.base_url)


@pytest.fixture
def key(local_server):
    """The key of a new user."""
    return add_user(local_server.data, f"user-{secrets.token_hex(3)}")


def test_the_form_stands_before_every_page_and_leads_back_to_it(visitor, key):
    address = "/?x=a%26b"
    assert visitor.fetch(address).headers["Location"] == "/~/login?next=%2F%3Fx%3Da%2526b"

    signed_in = visitor.sign_in(key, address)

    assert signed_in.status_code == 303
    assert urljoin(signed_in.url, signed_in.headers["Location"]) == visitor.base_url + address
    assert "Projects" in visitor.open(address).text


def test_the_session_is_a_cookie_that_scripts_and_other_sites_cannot_use(visitor, key):
    cookies = visitor.sign_in(key).raw.headers.getlist("Set-Cookie")

    (session,) = [cookie for cookie in cookies if cookie.startswith("wbgql_session_")]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in session.split(";")}
    assert "Secure" not in session
    assert key not in session


def test_over_https_the_cookie_is_secure(visitor, key):
    visitor.session.headers["X-Forwarded-Proto"] = "https"
    form = Page(visitor.fetch("/~/login"))
    (token,) = [one.attributes["value"] for one in form.all("input", name="token")]
    (cookie,) = form.headers["Set-Cookie"].split(";")[:1]

    answer = visitor.session.post(
        f"{visitor.base_url}/~/login",
        {"key": key, "token": token},
        headers={"Cookie": cookie},
        allow_redirects=False,
        timeout=30,
    )

    assert answer.status_code == 303
    assert "; Secure" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize("wrong", ["", "x" * 40, "ü" * 40, "' OR 1=1 --" * 5])
def test_a_key_nobody_has_opens_nothing(visitor, wrong):
    answer = visitor.sign_in(wrong)

    assert answer.status_code == 403
    assert "No user has this key." in Page(answer).text
    assert visitor.fetch("/").status_code == 302


def test_a_form_from_elsewhere_signs_nobody_in(visitor, key):
    for token in ("", "0" * 64, "ü"):
        answer = visitor.session.post(
            f"{visitor.base_url}/~/login", {"key": key, "token": token}, allow_redirects=False, timeout=30
        )
        assert answer.status_code == 403
    assert visitor.fetch("/").status_code == 302


def test_signing_out_needs_the_pages_own_button(visitor, key):
    visitor.sign_in(key)
    url = f"{visitor.base_url}/~/logout"

    visitor.session.post(url, {"token": "0" * 64}, timeout=30)
    page = visitor.open("/")
    (token,) = [one.attributes["value"] for one in page.all("input", name="token")]
    visitor.session.post(url, {"token": token}, timeout=30)

    assert visitor.fetch("/").status_code == 302


def test_a_session_ends_with_its_key(local_server, visitor, key):
    visitor.sign_in(key)
    assert visitor.fetch("/").status_code == 200

    store = Store(local_server.data)
    with store.write() as db:
        db.execute("DELETE FROM api_keys WHERE hash = ?", (hash_key(db, key),))
    store.close()

    assert visitor.fetch("/").status_code == 302


def test_a_changed_cookie_is_no_session(visitor, key):
    visitor.sign_in(key)
    (name,) = [one.name for one in visitor.session.cookies if one.name.startswith("wbgql_session_")]
    value = visitor.session.cookies[name]

    for changed in (value[:-1], value[1:], "", "WzEsIngiXQ.aaaa.bbbb", f"{value[:5]}A{value[6:]}"):
        answer = requests.get(
            f"{visitor.base_url}/",
            cookies={name: changed},
            headers={"Accept": "text/html"},
            allow_redirects=False,
            timeout=30,
        )
        assert answer.status_code == 302, changed


def test_a_form_of_any_size_is_not_read(visitor):
    answer = visitor.session.post(f"{visitor.base_url}/~/login", b"key=" + b"x" * 10_000, timeout=30)

    assert answer.status_code == 413


def test_the_key_as_password_works_too_and_a_wrong_one_is_refused(visitor, local_server):
    good = visitor.fetch("/", auth=("api", local_server.api_key))
    bad = visitor.fetch("/", auth=("api", "x" * 40))

    assert (good.status_code, bad.status_code) == (200, 401)


def test_a_program_without_a_key_is_told_so_instead_of_getting_a_form(visitor):
    answer = visitor.fetch("/admin/vision/runs/r0", headers={"Accept": "*/*"})

    assert answer.status_code == 401
    assert answer.json()["errors"] == [{"message": "user is not logged in"}]


def test_a_link_on_another_site_is_followed_once_more_from_here(visitor):
    # SameSite=Strict keeps the cookie back on the first step; the second one starts on our own page.
    page = Page(visitor.fetch("/~/login?next=/admin", headers={"Sec-Fetch-Site": "cross-site"}))
    (refresh,) = page.all("meta", http_equiv="refresh")
    at_home = Page(visitor.fetch("/~/login?next=/admin", headers={"Sec-Fetch-Site": "same-origin"}))

    assert refresh.attributes["content"] == "0; url=/admin"
    assert not at_home.all("meta", http_equiv="refresh")


def test_where_the_sdk_sends_people_for_a_key_says_how_to_get_one(visitor):
    page = visitor.open("/authorize")

    assert "wbgql server user add" in page.text


@pytest.mark.parametrize(
    "address", ["/", "/nobody", "/~/login", "/~/static/x/pages.css", "/~/static/x/nothing"]
)
def test_every_answer_has_the_headers_that_keep_a_page_shut(visitor, address):
    headers = visitor.fetch(address).headers

    for name in HEADERS.keys() - {"Cache-Control"}:
        assert headers[name] == HEADERS[name]
    assert "'unsafe" not in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == (
        "no-store" if "pages.css" not in address else headers["Cache-Control"]
    )


def test_below_a_prefix_everything_stays_below_it(tmp_path):
    with start(tmp_path, path_prefix="/some/wandb") as server:
        visitor = Visitor(server.base_url)
        signed_in = visitor.sign_in(server.api_key, "/admin?a=b")

        assert signed_in.headers["Location"] == "/some/wandb/admin?a=b"
        assert "Path=/some/wandb;" in signed_in.headers["Set-Cookie"]
        page = visitor.open("/admin?a=b")
        assert all(one.startswith("/some/wandb/") for one in page.addresses())
        for address in page.addresses():
            if "logout" not in address:
                assert visitor.fetch(urljoin(page.url, address)).status_code == 200, address
