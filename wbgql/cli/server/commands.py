"""`wbgql server` and what an operator does to its store."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from wbgql.cli.server import accounts as server_accounts
from wbgql.cli.server.store import data_dir, data_option
from wbgql.cli.shared.app import App, examples, global_options, not_empty
from wbgql.cli.shared.output import Listing, list_options, object_options, write_list, write_object
from wbgql.cli.shared.terminal import note

if TYPE_CHECKING:
    from wbgql.server import ServerSettings

_F = TypeVar("_F", bound=Callable[..., Any])

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _seconds(ctx: click.Context, param: click.Parameter, text: str) -> float:
    """Read `7d`, `12h`, `90s`."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhdw])", text.strip())
    if found is None:
        raise click.BadParameter(
            f"{text!r} is not a duration such as 7d, 12h, 30m or 90s", ctx=ctx, param=param
        )
    return float(found[1]) * _UNITS_S[found[2]]


def _optional_seconds(ctx: click.Context, param: click.Parameter, text: str | None) -> float | None:
    return None if text is None else _seconds(ctx, param, text)


def _choice(
    flag: str, choices: Sequence[str], help_: str, to: Callable[[str], Any] = str
) -> Callable[[_F], _F]:
    """An option that takes one of a few words, the first of them by default."""
    return click.option(
        flag,
        type=click.Choice(choices),
        default=choices[0],
        show_default=True,
        callback=lambda _ctx, _param, value: to(value),
        help=help_,
    )


@click.group(
    "server",
    invoke_without_command=True,
    short_help="Run a local W&B-compatible server.",
    epilog=examples(
        "wbgql server",
        "wbgql server --port 9000 --data ./store --retention 12h",
        "wbgql server --like saas-2026 --stale-reads 4s",
        "wbgql server user add ada --data ./store",
    ),
)
@click.option(
    "--port", type=click.IntRange(0, 65535), metavar="P", help="Port; 0 takes a free one  [default: 8899]"
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, callback=not_empty, help="Address to listen on."
)
@click.option(
    "--prefix",
    "path_prefix",
    default="",
    metavar="PATH",
    help="Serve everything below a path such as /wandb, behind a proxy or without one.",
)
@click.option(
    "--retention",
    "retention_s",
    callback=_seconds,
    default="7d",
    show_default=True,
    help="Keep hidden runs so long.",
)
@_choice(
    "--undelete",
    ["filtered", "all"],
    "What undeleteRuns restores: what its filter matches, or every deleted run, as W&B's page does.",
)
@_choice("--artifact-gc", ["on", "off"], "Whether a purge removes deleted artifacts.")
@click.option(
    "--artifact-retention",
    "artifact_retention_s",
    callback=_optional_seconds,
    metavar="7d",
    help="Keep deleted artifacts so long  [default: as runs]",
)
@_choice(
    "--system-artifacts",
    ["keep", "purge", "off"],
    "Histories of finished runs as artifacts: keep them when a run is purged, as W&B does; purge them"
    " with it; or make none.",
)
@_choice(
    "--code-saving", ["on", "off"], "Whether the SDK saves code and git diffs where a script does not say."
)
@_choice(
    "--sync", ["normal", "full"], "full: what was acknowledged survives a power cut too; writes are slower."
)
@click.option(
    "--without",
    "without",
    multiple=True,
    metavar="COORD",
    help="Lack a type, field or argument, as Artifact, Run.storageBytes or Run.config(keys:).",
)
@click.option("--null", "null", multiple=True, metavar="COORD", help="Answer null for a field, as Run.user.")
@_choice("--introspection", ["on", "off"], "Whether the schema is shown.")
@_choice(
    "--deleted-ids",
    ["410", "409"],
    "Status that refuses a deleted id for logging. 409 is W&B's own; the SDK retries it for 90 s.",
    to=int,
)
@click.option(
    "--failing-reads",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Answer each Nth query with HTTP 500, as passing faults are  [default: none]",
)
@_choice("--audit-log", ["lines", "paged"], "paged: as W&B's cloud, at /audit_logs.")
@_choice(
    "--bulk-filters",
    ["obeyed", "no-or", "no-in", "ignored"],
    "What mutations over many runs ignore: $or, $in, or their whole filter.",
)
@_choice(
    "--moves",
    ["at-once", "task"],
    "task: runs move after the answer, and are lost if the destination is not there.",
)
@_choice(
    "--fork-samples",
    ["whole", "segments"],
    "segments: sample what a fork shares and its own rows apart.",
)
@click.option(
    "--stale-reads",
    "stale_reads_s",
    callback=_seconds,
    default="0s",
    metavar="4s",
    help="Answer queries as the store was so long ago, as a replica that lags  [default: at once]",
)
@_choice("--lists", ["compared", "opaque"], "opaque: no filter finds a list in config or summary.")
@click.option(
    "--like",
    type=click.Choice(["saas-2026"]),
    help="Set the switches that public sources report of a W&B server. Those given here win.",
)
@data_option
@global_options()
@click.pass_context
def server_group(ctx: click.Context, /, port: int | None, like: str | None, **given: Any) -> None:
    """Run a local server that the wandb SDK and this command take for W&B, until Ctrl-C.

    The URL goes to stdout once requests are answered. A key is always required: on the first start a user
    is made, and the key is shown on stderr, once.

    Then, where a script logs or this command asks:

    \b
      export WANDB_BASE_URL=http://127.0.0.1:8899
      export WANDB_API_KEY=<the key>

    The URL opens in a browser too; sign in there with the key.
    """
    if ctx.invoked_subcommand is not None:
        return
    from wbgql.server import DEFAULT_PORT, ServerSettings
    from wbgql.server.likeness.switches import preset

    likeness = {
        name: value
        for name, value in preset(like).items()
        if ctx.get_parameter_source(name) is ParameterSource.DEFAULT
    }
    given |= likeness
    settings = ServerSettings(data=data_dir(), port=DEFAULT_PORT if port is None else port, **given)
    _serve(ctx.find_object(App) or App(), settings)


def _serve(app: App, settings: ServerSettings) -> None:
    from wbgql.server import serve

    host = settings.host
    if host not in _LOOPBACK:
        note(f"warning: keys travel unencrypted to {host!r}: put TLS before it, or listen on 127.0.0.1")

    def on_ready(url: str) -> None:
        click.echo(url)
        app.tell(
            f"store in {str(settings.data)!r}; point the SDK here with WANDB_BASE_URL={url}, or open"
            " that in a browser; Ctrl-C stops"
        )

    with suppress(KeyboardInterrupt):
        serve(settings, on_ready=on_ready, on_first_key=_show_first_key)
    app.tell("stopped")


def _show_first_key(user: str, key: str) -> None:
    note(f"made user {user!r} with the API key below; it is stored hashed and never shown again\n{key}")


@server_group.command(
    "purge",
    short_help="Destroy what was hidden longer ago than the retention.",
    epilog=examples(
        "wbgql server purge --data ./store", "wbgql server purge --system-artifacts --data ./store"
    ),
)
@click.option(
    "--system-artifacts", is_flag=True, help="Also the `run-<id>-history` artifacts of runs that are purged."
)
@data_option
@object_options()
@global_options()
def purge_command(system_artifacts: bool, format_: str | None, output: Path | None) -> None:
    """Destroy the bytes of runs hidden longer ago than the retention the server last ran with.

    Their `run-<id>-history` artifacts stay, as on W&B, unless the server runs with --system-artifacts purge
    or the option here asks for them.
    """
    from wbgql.server import purge

    write_object(asdict(purge(data_dir(), system_artifacts=system_artifacts or None)), format_, output)


@server_group.command(
    "clock",
    short_help="Set the clock of a store ahead.",
    epilog=examples(
        "wbgql server clock --data ./store",
        "wbgql server clock --advance 7d --data ./store",
        "wbgql server clock --confirm --data ./store",
    ),
)
@click.option("--advance", callback=_seconds, default="0s", metavar="7d", help="By how much.")
@click.option("--confirm", is_flag=True, help="The machine's clock is right: purge by it.")
@data_option
@object_options()
@global_options()
def clock_command(advance: float, confirm: bool, format_: str | None, output: Path | None) -> None:
    """Print the time of a store, after setting its clock further ahead if asked to.

    A running server follows at once: what "the day after" or "after retention" looks like can be tried. It
    never goes back.

    `doubted_s` is by how many seconds the machine's own clock went ahead of the time that surely passed.
    Purges wait by that much until the clock is set right, or --confirm says that it is.
    """
    from wbgql.server import advance_clock, clock_doubt, confirm_clock

    if confirm:
        confirm_clock(data_dir())
    now = advance_clock(data_dir(), advance).isoformat()
    write_object({"now": now, "doubted_s": clock_doubt(data_dir())}, format_, output)


@server_group.command(
    "audit",
    short_help="List who asked to change or delete what.",
    epilog=examples(
        "wbgql server audit --data ./store", "wbgql server audit --changes --data ./store --format json"
    ),
)
@click.option(
    "--changes", is_flag=True, help="What was changed, one row for each run or version under a keyed hash."
)
@data_option
@list_options()
@global_options()
def audit_command(changes: bool, format_: str | None, output: Path | None) -> None:
    """List the requests to change or delete something that a store has seen, refused ones too."""
    from wbgql.server import audit_log, audit_requests

    found = audit_log(data_dir()) if changes else audit_requests(data_dir())
    what = ("action", "entity", "project") if changes else _REQUEST_COLUMNS
    columns = {name: _item(name) for name in ("at", "actor", *what)}
    if changes:
        columns["keyed_hash"] = _item("subject")
    write_list(Listing(found, columns=columns), format_, output)


_REQUEST_COLUMNS = ("mutation", "entity", "project", "code", "digest")


def _item(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda row: row[name]


for _group in server_accounts.GROUPS:
    server_group.add_command(_group)
