"""`wbgql whoami`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wbgql.cli.shared.app import App, examples, global_options, host_of
from wbgql.cli.shared.output import object_options, write_object
from wbgql.settings import SHOWN

if TYPE_CHECKING:
    from wbgql.client import Client
    from wbgql.viewer import Viewer


@click.command(
    "whoami",
    short_help="Show whose key this is, and where each setting came from.",
    epilog=examples("wbgql whoami", "wbgql whoami --base-url http://127.0.0.1:8899 --format json"),
)
@object_options()
@global_options()
@click.pass_obj
def whoami_command(app: App, format_: str | None, output: Path | None) -> None:
    """Show whose key this is, on which server, and where each setting came from."""
    client = app.client()
    record = _record(client, client.viewer())
    write_object(record, format_, output, flat=_flat(record))


def _record(client: Client, viewer: Viewer) -> dict[str, Any]:
    return {
        "user": viewer.username,
        "default_entity": viewer.entity,
        "teams": viewer.team_names,
        "admin": bool(viewer.admin),
        "host": host_of(client),
        "settings": {name: _setting(client, name) for name in SHOWN},
    }


def _setting(client: Client, name: str) -> dict[str, Any]:
    """One setting and where it came from; the key itself is never shown."""
    value = getattr(client.settings, name)
    shown = "***" if name == "api_key" and value else value
    return {"value": shown, "from": client.settings.origin.get(name, "the caller")}


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    settings = {
        name: "not set" if setting["value"] is None else f"{setting['value']} (from {setting['from']})"
        for name, setting in record["settings"].items()
    }
    return {**{name: value for name, value in record.items() if name != "settings"}, **settings}
