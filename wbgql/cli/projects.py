"""`wbgql projects list` and `wbgql fields`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wbgql.cli.shared.app import App, examples, global_options, not_empty
from wbgql.cli.shared.output import Listing, list_options, write_list
from wbgql.paths import quoted_path

if TYPE_CHECKING:
    from wbgql.projects import ProjectField


@click.group("projects", short_help="Projects of an entity.", epilog=examples("wbgql projects list acme"))
def projects_group() -> None:
    """Projects of an entity."""


@projects_group.command(
    "list",
    short_help="List the projects of an entity.",
    epilog=examples("wbgql projects list", "wbgql projects list acme --format ids"),
)
@click.argument("entity_name", metavar="[ENTITY]", required=False, callback=not_empty)
@list_options("ids")
@global_options()
@click.pass_obj
def list_command(app: App, entity_name: str | None, format_: str | None, output: Path | None) -> None:
    """List the projects of ENTITY that this key can see; by default one's own."""
    listing = Listing(
        app.client().projects(entity_name),
        columns={
            "entity": lambda project: project.entity_name,
            "name": lambda project: project.name,
            "created_at": lambda project: project.created_at,
            "read_only": lambda project: project.read_only,
        },
        key=lambda project: quoted_path(project.path),
    )
    if not write_list(listing, format_, output):
        app.tell("the entity has no project that this key can see")


@click.command(
    "fields",
    short_help="List the config and summary keys that runs hold, with their types.",
    epilog=examples("wbgql fields acme/vision", "wbgql fields acme/vision --pattern loss"),
)
@click.argument("path", callback=not_empty)
@click.option("--pattern", metavar="TEXT", help="Only keys that match, as the server reads it.")
@list_options()
@global_options()
@click.pass_obj
def fields_command(
    app: App, path: str, pattern: str | None, format_: str | None, output: Path | None
) -> None:
    """List the keys that runs of PATH hold.

    `field` is written as --where, --order and --select take it, `path` as the server does. A dot in a path of
    the summary may be part of a key; one count for each such name tells.
    """
    client = app.client()

    @cache
    def is_object(top: str) -> bool:
        return client.runs(path).count_matching({f"summary_metrics.{top}": {"$exists": True}}) > 0

    def written(field: ProjectField) -> str:
        from wbgql.expressions import FieldPath

        section, *parts = field.path.split(".")
        if section == "summary_metrics" and len(parts) > 1 and not is_object(parts[0]):
            return str(FieldPath("summary", (".".join(parts),)))
        return field.field

    listing = Listing(
        client.fields(path, pattern=pattern),
        columns={
            "field": written,
            "type": lambda field: field.type,
            "path": lambda field: field.path,
        },
    )
    write_list(listing, format_, output)
