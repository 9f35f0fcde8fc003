"""The command's root: the tree of commands, and where errors become exit codes."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import click
from click.exceptions import NoArgsIsHelpError

from wbgql import __version__, extras
from wbgql.cli import (
    artifacts,
    completion,
    demo,
    doctor,
    downloads,
    history,
    holds,
    projects,
    query,
    schema,
    storage,
    streams,
    whoami,
)
from wbgql.cli.erase import group as erase
from wbgql.cli.runs import changes as run_changes
from wbgql.cli.runs import deletes as run_deletes
from wbgql.cli.runs import files as run_files
from wbgql.cli.runs import groups as run_groups
from wbgql.cli.runs import listing as runs
from wbgql.cli.runs import part_deletes
from wbgql.cli.server import commands as server
from wbgql.cli.shared import exit_codes
from wbgql.cli.shared.app import App, examples, global_options
from wbgql.cli.shared.output import standard_output
from wbgql.cli.shared.spelling import for_command_line
from wbgql.cli.shared.terminal import note
from wbgql.errors import UsageError, WbgqlError


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "wbgql whoami",
        """wbgql runs list acme/vision --where 'summary["val/acc"] > 0.9'""",
        "wbgql demo",
    ),
)
@click.version_option(__version__, prog_name="wbgql")
@global_options(hidden=False)
def cli() -> None:
    """Raw GraphQL administration of Weights & Biases.

    Settings are read as the wandb SDK reads them. The options below may also come after the command.
    Data goes to stdout, everything else to stderr.
    """


@click.group("runs", short_help="List, change and hide runs.", epilog=examples("wbgql runs list acme/vision"))
def runs_group() -> None:
    """List, change and hide runs."""


for _command in (
    runs.list_command,
    runs.count_command,
    runs.show_command,
    run_files.explain_command,
    run_files.export_command,
    run_groups.best_command,
    run_groups.latest_command,
    run_groups.stats_command,
    run_changes.update_command,
    run_changes.tag_command,
    run_changes.untag_command,
    run_deletes.delete_command,
    run_deletes.undelete_command,
):
    runs_group.add_command(_command)

artifacts.artifacts_group.add_command(part_deletes.delete_artifacts_command)
downloads.files_group.add_command(part_deletes.delete_files_command)

for _command in (
    whoami.whoami_command,
    runs_group,
    projects.projects_group,
    projects.fields_command,
    history.history_command,
    streams.logs_command,
    streams.system_command,
    artifacts.artifacts_group,
    downloads.files_group,
    storage.storage_command,
    query.query_command,
    holds.hold_group,
    erase.erase_group,
    schema.schema_group,
    doctor.doctor_command,
    server.server_group,
    demo.demo_command,
    completion.completion_command,
):
    cli.add_command(_command)


def main(argv: Sequence[str] | None = None, app: App | None = None) -> int:
    """Run one command and return its exit code. Never a traceback, unless `--debug`."""
    app = app or App()
    if completion.VARIABLE in app.environ:
        completion.register_shells()
        cli.main(prog_name="wbgql")
    try:
        with _warnings_on_stderr():
            return _run(sys.argv[1:] if argv is None else list(argv), app)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        return _refuse(error)
    except (click.Abort, KeyboardInterrupt) as error:
        # click makes an Abort of an interrupt at a prompt.
        note(str(error) or "interrupted; nothing is lost")
        return exit_codes.INTERRUPTED
    except BrokenPipeError:
        _silence(sys.stdout)
        return exit_codes.BROKEN_PIPE
    except Exception as error:  # noqa: BLE001  # the last net: a fault is told in a line, not a traceback
        return _tell(error, app)


def _run(argv: list[str], app: App) -> int:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A name that the terminal's encoding lacks must not end a list halfway.
            stream.reconfigure(errors="backslashreplace")
    standard_output()
    for argument in argv:
        if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in argument):
            raise UsageError(f"argument {argument!r} is not valid text in this terminal's encoding")
    with cli.make_context("wbgql", argv, obj=app) as ctx:
        cli.invoke(ctx)
    sys.stdout.flush()
    return exit_codes.OK


def _tell(error: Exception, app: App) -> int:
    if app.debug:
        import traceback

        note("".join(traceback.format_exception(error)).rstrip("\n"))
    if isinstance(error, ImportError):
        error = extras.missing(error) or error
    if isinstance(error, WbgqlError):
        note(
            "\n  ".join((f"error: {for_command_line(app.words_of(error))}", *getattr(error, "__notes__", ())))
        )
    elif isinstance(error, OSError):
        _silence(sys.stdout)
        note(f"error: {error.strerror or error}".lower())
        return exit_codes.STORE
    else:
        hint = "" if app.debug else "; `wbgql --debug ...` shows where"
        note(f"internal error: {type(error).__name__}: {error}{hint}")
    return exit_codes.code_of(error)


def _refuse(error: click.ClickException) -> int:
    if isinstance(error, NoArgsIsHelpError):
        error.show()
        return exit_codes.USAGE
    note(f"error: {error.format_message()}")
    if isinstance(error, click.UsageError) and error.ctx is not None:
        note(f"`{error.ctx.command_path} --help` says how")
    return exit_codes.USAGE


@contextmanager
def _warnings_on_stderr() -> Iterator[None]:
    """Print the package's warnings as a line; keep other packages' to themselves."""

    def show(message: Warning | str, category: type[Warning], *_where: Any, **_more: Any) -> None:
        if category is RuntimeWarning or category.__module__.startswith("wbgql."):
            note(f"warning: {for_command_line(str(message))}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in (UserWarning, RuntimeWarning):
            warnings.simplefilter("always", kind)
        warnings.showwarning = show
        yield


def _silence(stream: TextIO) -> None:
    """Send what is still buffered nowhere, so that Python's own flush at the exit has no complaint."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
