"""`wbgql demo`."""

from __future__ import annotations

import click

from wbgql.cli.shared.app import examples, global_options


@click.command(
    "demo",
    short_help="Show everything on a server of its own.",
    epilog=examples("wbgql demo", "wbgql demo --runs 1000 --keep"),
)
@click.option("--runs", type=click.IntRange(min=20), default=200, show_default=True, help="Runs to log.")
@click.option("--keep", is_flag=True, help="Leave the server's store in place.")
@global_options()
def demo_command(runs: int, keep: bool) -> None:
    """Start a local server, log runs with the real wandb SDK, find, change and hide some, and prove it."""
    from wbgql.demo import run_demo

    run_demo(click.echo, keep=keep, runs=runs)
