"""`wbgql erase returned`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from wbgql.cli.erase.options import FILE
from wbgql.cli.shared.app import App, examples, global_options, not_empty
from wbgql.cli.shared.output import Listing, list_options, write_list
from wbgql.errors import NotVerified

if TYPE_CHECKING:
    from wbgql.paths import RunPath

_MAX_KEY_BYTES = 1024


@click.command(
    "returned",
    short_help="List erased runs that are there again, from a certificate.",
    epilog=examples(
        "wbgql erase returned evidence/DSR-4711 acme/vision --case-key kept/plan.json.key",
        "wbgql erase returned evidence/DSR-4711 acme/vision --case-key KEY --format ids > ids.txt",
        "wbgql erase plan --ids-from ids.txt --request DSR-4711 --basis gdpr-17 -o again.json",
    ),
)
@click.argument("folder", metavar="CERTIFICATE", type=FILE)
@click.argument("projects", nargs=-1, required=True, metavar="PROJECT...", callback=not_empty)
@click.option(
    "--case-key", "key_path", required=True, type=FILE, metavar="FILE", help="The key that names its runs."
)
@click.option(
    "--trusted-keys", "trusted_path", type=FILE, metavar="FILE", help="Also check whose key signed it."
)
@list_options("ids")
@global_options()
@click.pass_obj
def returned_command(
    app: App,
    folder: Path,
    projects: tuple[str, ...],
    key_path: Path,
    trusted_path: Path | None,
    format_: str | None,
    output: Path | None,
) -> None:
    """List the runs of each PROJECT that CERTIFICATE says were erased: after a backup was restored.

    For cases that are closed; `wbgql erase watch` does it for open ones. It needs the case key, which `close`
    destroys: whoever may keep a record to make sure that data stays deleted keeps a copy apart.

    Exit code 10: at least one is there again. Its id is printed, because a new plan needs it.
    """
    from wbgql.erasure.evidence.check import read_trusted
    from wbgql.erasure.evidence.returned import iter_returned, read_erased
    from wbgql.erasure.records.small_files import read_small
    from wbgql.erasure.records.subjects import CaseKey

    content = read_small(key_path, _MAX_KEY_BYTES, "a case key")
    key = CaseKey.from_hex(content.decode("ascii", "replace"))
    client = app.client()
    trusted = read_trusted(trusted_path) if trusted_path else None
    if trusted is None:
        app.tell("whose key signed was not checked: give the certifier's public key as --trusted-keys")
    erased = read_erased(folder, key, client.settings.base_url, trusted)
    paths = [client.project_path(project) for project in projects]
    listing: Listing[RunPath] = Listing(
        iter_returned(client.session, paths, key, erased),
        columns={"run": str},
        key=str,
    )
    found = write_list(listing, format_, output)
    if found:
        raise NotVerified(
            f"{found} of {len(erased.subjects)} erased runs are there again: make a new plan for them"
        )
    app.tell(f"none of {len(erased.subjects)} erased runs is there")
