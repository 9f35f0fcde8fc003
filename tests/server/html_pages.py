"""A browser without a screen: fetches pages as one user, and reads what is in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import requests

from tests.stored import World
from wbgql.server import RunningServer

HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "\u202eevil\u202c שלום",
    "🦄👩‍👩‍👧‍👦",
    "</title></textarea>&lt;{{ 7*7 }}{% x %}",
    "x" * 120,
    "javascript:alert(1)",
]
PNG = b"\x89PNG\r\n\x1a\n"
VOID = {"meta", "link", "input", "img", "br"}


@dataclass
class Element:
    """One element with the text inside it."""

    tag: str
    attributes: dict[str, str | None]
    text: str = ""


@dataclass
class Reader(HTMLParser):
    """Every element of a page, in order. Unclosed elements are an error: a browser would guess."""

    elements: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop().tag == tag, f"</{tag}> does not close what is open"

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


class Page:
    """One answer, read."""

    def __init__(self, answer: requests.Response) -> None:
        self.status = answer.status_code
        self.headers = answer.headers
        self.url = answer.url
        self.source = answer.content.decode()
        reader = Reader()
        reader.feed(self.source)
        reader.close()
        assert not reader.open, f"never closed: {reader.open[-1]}"
        self.elements = reader.elements

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Elements with these attributes; `class_` looks for one class among several."""
        wanted = attributes.pop("class_", None)
        return [
            one
            for one in self.elements
            if one.tag == tag
            and (wanted is None or wanted in (one.attributes.get("class") or "").split())
            and all(one.attributes.get(name.replace("_", "-")) == value for name, value in attributes.items())
        ]

    @property
    def text(self) -> str:
        """All text, with runs of white space as one space."""
        return " ".join(self.all("body")[0].text.split())

    def rows(self) -> list[list[str]]:
        """The cells of the first table's body."""
        found: list[list[str]] = []
        inside = False
        for one in self.elements:
            if one.tag in ("tbody", "table"):
                if one.tag == "table" and found:
                    break
                inside = one.tag == "tbody"
            elif one.tag == "tr" and inside:
                found.append([])
            elif one.tag == "td" and found:
                found[-1].append(" ".join(one.text.split()))
        return found

    def links(self) -> list[str]:
        """Absolute addresses of what can be clicked, without duplicates."""
        found = [one.attributes.get("href") for one in self.all("a")]
        return list(dict.fromkeys(urljoin(self.url, one) for one in found if one))

    def addresses(self) -> list[str]:
        """Everything the page names or fetches."""
        names = ("href", "src", "action", "srcset", "poster", "data", "formaction")
        return [
            one.attributes[name] or "" for one in self.elements for name in names if name in one.attributes
        ]


class Visitor:
    """Opens pages with a cookie jar, as a browser does."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Accept"] = "text/html,*/*;q=0.8"

    def fetch(self, address: str, **options: Any) -> requests.Response:
        """A raw answer; redirects are not followed."""
        url = address if urlsplit(address).scheme else self.base_url + address
        return self.session.get(url, allow_redirects=False, timeout=30, **options)

    def open(self, address: str, status: int = 200) -> Page:
        """A page that is answered with this status."""
        page = Page(self.fetch(address))
        assert page.status == status, page.text
        return page

    def sign_in(self, key: str, address: str = "/") -> requests.Response:
        """Fill in the form that stands before `address`, and send it."""
        asked = self.fetch(address)
        assert asked.status_code == 302, asked.text
        form = Page(self.fetch(urljoin(asked.url, asked.headers["Location"])))
        fields = {one.attributes["name"]: one.attributes.get("value") for one in form.all("input")}
        (target,) = [one.attributes["action"] for one in form.all("form", class_="sign-in")]
        return self.session.post(
            urljoin(form.url, target), fields | {"key": key}, allow_redirects=False, timeout=30
        )


def admin_of(server: RunningServer) -> Visitor:
    """One who opens pages with the key of the server's admin."""
    return with_key(server.base_url, server.api_key)


def with_key(base_url: str, key: str) -> Visitor:
    """One who needs no cookie, as `curl -u api:KEY`."""
    visitor = Visitor(base_url)
    visitor.session.auth = ("api", key)
    return visitor


def runs_page(path: str, **query: Any) -> str:
    """The address of a project's table; a list gives one value for each item."""
    return f"/{path}?{urlencode(query, doseq=True)}"


def fill(world: World, count: int = 4) -> None:
    """Make runs r0, r1, ... that differ in some of what they hold."""
    for number in range(count):
        world.caller.upsert(
            world.project,
            name=f"r{number}",
            displayName=f"run {number}",
            config={"lr": {"value": number / 10}, "same": {"value": 1}, "net": {"value": {"depth": number}}},
            summaryMetrics={"val/acc": number / 4, "loss": 1.0, "a.b": number, "_runtime": 65},
            tags=["best"] if number == 3 else [],
        )
