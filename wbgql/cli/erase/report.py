"""`wbgql erase report`."""

from __future__ import annotations

from pathlib import Path

import click

from wbgql.cli.erase.options import FILE
from wbgql.cli.shared.app import App, examples, switches
from wbgql.cli.shared.output import write_text

_FORMATS = ("html", "md", "json", "csv")


@click.command(
    "report",
    short_help="Show a certificate to people.",
    epilog=examples(
        "wbgql erase report plan.json -o DSR-4711.html",
        "wbgql erase report evidence/DSR-4711 --format md",
        "wbgql erase report evidence/DSR-4711 --trusted-keys certifier.pem.pub -o DSR-4711.html",
    ),
)
@click.argument("path", metavar="PLAN|DIR", type=FILE)
@click.option(
    "--format", "format_", type=click.Choice(_FORMATS), help="As what  [default: from -o's name, else md]"
)
@click.option(
    "--trusted-keys", "trusted_path", type=FILE, metavar="FILE", help="Also check whose key signed it."
)
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Write to FILE, whole or not at all.")
@switches()
@click.pass_obj
def report_command(
    app: App, path: Path, format_: str | None, trusted_path: Path | None, output: Path | None
) -> None:
    """Show a certificate to people: exceptions first, a timeline, the population, approvals, limits.

    Made from the certificate's folder alone (of PLAN, the one beside it), so it holds no names. HTML is one
    page without scripts or outside parts, made to be printed; csv is the population in words. Nothing is made
    of a certificate that does not hold (exit 10).
    """
    from wbgql.erasure.evidence.bundle import bundle_path
    from wbgql.erasure.evidence.check import read_trusted
    from wbgql.erasure.reports.rendering import read_contents, render

    folder = path if path.is_dir() else bundle_path(path)
    trusted = read_trusted(trusted_path) if trusted_path else None
    contents, items = read_contents(folder, trusted)
    write_text(render(contents, items, format_ or _format_of(output)), output)
    if trusted is None:
        app.tell("whose key signed was not checked: give the certifier's public key as --trusted-keys")
    if contents.certificate.is_test:
        app.tell("TEST: this came from a local test server")


def _format_of(output: Path | None) -> str:
    suffix = "" if output is None else output.suffix.removeprefix(".").lower()
    return suffix if suffix in _FORMATS else "md"
