"""Reports as text: HTML and Markdown through Jinja2, JSON and CSV as data. Reads templates, nothing else."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from wbgql.erasure.evidence.bundle import POPULATION, read_certificate, read_population
from wbgql.erasure.evidence.check import require_good
from wbgql.erasure.evidence.population import Item
from wbgql.erasure.evidence.wording import when
from wbgql.erasure.records.canonical import encode
from wbgql.erasure.records.keys import PublicKey
from wbgql.erasure.reports.contents import Contents, describe_item, make_contents, short
from wbgql.erasure.reports.timeline import make_timeline
from wbgql.errors import NotVerified, UsageError

FORMATS = ("html", "md", "json", "csv")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|~&])")


def read_contents(folder: Path, trusted: frozenset[PublicKey] | None = None) -> tuple[Contents, list[Item]]:
    """Read a certificate's folder for a report. Without trusted keys, whose key signed it is not looked at.

    Raises:
        NotVerified: a check failed: no report is made of what does not hold.
        UsageError: not a folder.
        StoreError: it cannot be read.
    """
    if not folder.is_dir():
        raise UsageError(
            f"{str(folder)!r} is not the folder of a certificate: `wbgql erase certify` makes one"
        )
    try:
        report = require_good(folder, trusted)
    except NotVerified as error:
        raise NotVerified(f"{error}: no report is made of it") from error
    items = read_population(folder / POPULATION)
    return make_contents(read_certificate(folder), items, report.checks), items


def render(contents: Contents, items: list[Item], format_: str) -> str:
    """Return the report as HTML, Markdown, JSON or CSV.

    Raises:
        UsageError: another format.
    """
    renderers: Mapping[str, Callable[[], str]] = {
        "html": lambda: _render(contents, "report.html"),
        "md": lambda: _render(contents, "report.md"),
        "json": lambda: _to_json(contents),
        "csv": lambda: _to_csv(contents, items),
    }
    if format_ not in renderers:
        raise UsageError(f"no format {format_!r}: one of {', '.join(FORMATS)}")
    return renderers[format_]()


def _render(contents: Contents, template: str) -> str:
    loader = PackageLoader("wbgql.erasure.reports")
    as_html = template.endswith(".html")
    environment = Environment(
        loader=loader,
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=not as_html,
        keep_trailing_newline=True,
        finalize=None if as_html else _escape_markdown,
    )
    environment.filters |= {
        "when": when,
        "instant": _instant,
        "short": short,
        "fate": lambda item: describe_item(item, contents.words),
        "outcome": lambda code: contents.words.outcomes.get(code, code),
        "reason": lambda code: contents.words.reasons.get(code, code),
        "verdict": lambda code: contents.words.verdicts.get(code, code),
    }
    values: dict[str, Any] = {
        "r": contents,
        "c": contents.certificate,
        "t": make_timeline(contents.certificate),
        # Ours, and in a <style>: the one thing that goes in as it is.
        "css": Markup(loader.get_source(environment, "report.css")[0]) if as_html else "",  # noqa: S704
    }
    return environment.get_template(template).render(values)


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _escape_markdown(value: Any) -> Any:
    """Escape what stands between `{{` and `}}`: it may come from a person, and must stay one line of text."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _MARKDOWN.sub(r"\\\1", " ".join(value.split()))


def _to_json(contents: Contents) -> str:
    record = {
        "schema": "wbgql-erasure-report/1",
        "title": contents.title,
        "is_test": contents.certificate.is_test,
        "exceptions": [{"count": one.count, "what": one.words} for one in contents.exceptions],
        "certificate": contents.certificate,
        "signature": contents.signed.signature,
        "checks": contents.checks,
    }
    return msgspec.json.format(encode(record), indent=2).decode() + "\n"


def _to_csv(contents: Contents, items: list[Item]) -> str:
    """The population in words, one line an item, each with the certificate it belongs to."""
    certificate = contents.certificate
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        (
            "certificate",
            "stage",
            "test",
            "line",
            "kind",
            "run",
            "project",
            "keyed_hash",
            "outcome",
            "at",
            "proof",
            "in_words",
        )
    )
    for item in items:
        writer.writerow(
            (
                certificate.digest,
                certificate.stage,
                "TEST" if certificate.is_test else "",
                item.no,
                item.kind,
                item.run,
                item.project,
                item.subject,
                item.outcome,
                item.at or "",
                item.proof,
                describe_item(item, contents.words),
            )
        )
    return text.getvalue()
