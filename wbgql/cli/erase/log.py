"""`--log-to`: the job as a W&B run of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wbgql.cli.shared.app import App, not_empty
from wbgql.cli.shared.terminal import note

if TYPE_CHECKING:
    from wbgql.erasure.case.run_log import NoLog
    from wbgql.erasure.records.plan import Plan

F = TypeVar("F", bound=Callable[..., Any])


def log_option(command: F) -> F:
    """Add `--log-to`."""
    return click.option(
        "--log-to",
        metavar="PROJECT",
        callback=not_empty,
        help="Log stages and counts, never names, as a W&B run in PROJECT, through the wandb SDK.",
    )(command)


def open_log(app: App, plan: Plan, log_to: str | None) -> NoLog:
    """Return the log of a job, one that does nothing where nobody asked. For use as a context manager.

    Raises:
        UsageError: no project, or one that the plan erases from.
        ConfigError: the wandb SDK is not installed.
    """
    from wbgql.erasure.case.run_log import NoLog, RunLog

    if log_to is None:
        return NoLog()
    client = app.client()
    return RunLog(plan, client.project_path(log_to), client.settings, on_warning=note)
