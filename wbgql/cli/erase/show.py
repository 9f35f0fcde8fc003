"""`wbgql erase show`."""

from __future__ import annotations

import sys
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wbgql.cli.shared.app import App, examples, switches
from wbgql.cli.shared.output import (
    OBJECT_FORMATS,
    Listing,
    list_options,
    write_list,
    write_object,
    write_text,
)

if TYPE_CHECKING:
    from wbgql.erasure.records.plan import Plan


@click.command(
    "show",
    short_help="Show what a plan would do.",
    epilog=examples(
        "wbgql erase show plan.json",
        "wbgql erase show plan.json --runs",
        "wbgql erase show plan.json --artifacts --format csv -o versions.csv",
        "wbgql erase show plan.json --digest",
    ),
)
@click.argument("plan_path", metavar="PLAN", type=click.Path(path_type=Path))
@click.option("--runs", is_flag=True, help="List every run that goes.")
@click.option("--artifacts", is_flag=True, help="List every artifact version, and why.")
@click.option("--files", is_flag=True, help="List every file that goes one by one.")
@click.option("--excluded", is_flag=True, help="List every run that matched and stays.")
@click.option("--digest", "only_digest", is_flag=True, help="Print the digest alone, for `erase apply`.")
@list_options()
@switches()
@click.pass_obj
def show_command(
    app: App, /, plan_path: Path, only_digest: bool, format_: str | None, output: Path | None, **lists: bool
) -> None:
    """Show what PLAN would do: what goes, what stays and why, the risks, and when it would be gone.

    Reads the file alone; no server is asked. Dates are those of a plan that is applied now.
    """
    from wbgql.erasure.case.files import load_plan
    from wbgql.erasure.planning.showing import summarize, write_out

    wanted = [name for name, is_wanted in lists.items() if is_wanted]
    if len(wanted) > 1:
        raise click.UsageError(f"one list at a time, not {' and '.join(f'--{name}' for name in wanted)}")
    plan = load_plan(plan_path)
    if only_digest:
        write_text(plan.digest, output)
    elif wanted:
        write_list(_listing(_rows(plan, wanted[0])), format_, output)
    elif format_ not in (None, *OBJECT_FORMATS):
        raise click.UsageError(f"--format {format_} is for lists: --runs, --artifacts, --files or --excluded")
    elif format_ == "table" or (format_ is None and output is None and sys.stdout.isatty()):
        write_text(write_out(plan, app.now()), output)
    else:
        write_object(summarize(plan, app.now()), "json", output)


def _rows(plan: Plan, what: str) -> list[dict[str, Any]]:
    from wbgql.erasure.planning.showing import artifact_rows, file_rows, run_row

    if what == "runs":
        return [run_row(number, run) for number, run in enumerate(plan.runs, 1)]
    if what == "artifacts":
        return list(artifact_rows(plan))
    if what == "files":
        return list(file_rows(plan))
    return [{"path": run.path, "reason": run.reason, "detail": run.detail} for run in plan.excluded]


def _listing(rows: list[dict[str, Any]]) -> Listing[dict[str, Any]]:
    names = list(rows[0]) if rows else ["path"]
    return Listing(rows, columns={name: itemgetter(name) for name in names})
