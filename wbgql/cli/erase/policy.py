"""`wbgql erase policy check | mark | sweep`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wbgql.cli.erase.plan import approval_fields, approval_plan_options, make_surface, plan_record
from wbgql.cli.runs.selecting import no_misspelt_key
from wbgql.cli.shared.app import App, examples, global_options, switches
from wbgql.cli.shared.output import LIST_FORMATS, Listing, format_option, list_options, write_list
from wbgql.cli.shared.terminal import note
from wbgql.errors import NotFound, PartialError, PermissionDenied, RequestError, WbgqlError

if TYPE_CHECKING:
    from wbgql.client import Client
    from wbgql.erasure.policies.rules import Rule
    from wbgql.erasure.policies.sweep import Marked
    from wbgql.runs import ProjectScope

_FILE = click.Path(path_type=Path)


@click.group(
    "policy",
    short_help="Mark and plan runs by rules of retention.",
    epilog=examples("wbgql erase policy check retention.yaml"),
)
def policy_group() -> None:
    """Mark runs by rules, and plan those whose time has come; for cron. Nothing here deletes a run."""


@policy_group.command(
    "check",
    short_help="Check a policy file.",
    epilog=examples("wbgql erase policy check retention.yaml"),
)
@click.argument("file", metavar="FILE", type=_FILE)
@list_options()
@switches()
def check_command(file: Path, format_: str | None, output: Path | None) -> None:
    """Check FILE and list its rules. Reads the file alone; no server is asked."""
    rules = _read(file)
    listing: Listing[Rule] = Listing(
        rules,
        columns={
            "rule": lambda rule: rule.name,
            "projects": lambda rule: rule.projects,
            "where": lambda rule: str(rule.expr),
            "grace": lambda rule: rule.grace,
            "owner": lambda rule: rule.owner,
            "max_runs": lambda rule: rule.max_runs,
            "max_percent": lambda rule: rule.max_percent,
        },
    )
    write_list(listing, format_, output)


@policy_group.command(
    "mark",
    short_help="Tag runs with the day after which they may go.",
    epilog=examples(
        "wbgql erase policy mark retention.yaml",
        "wbgql erase policy mark retention.yaml --apply --format csv -o to-tell.csv",
    ),
)
@click.argument("file", metavar="FILE", type=_FILE)
@click.option("--apply/--dry-run", default=False, help="Do it; without, only show what would be done.")
@list_options()
@global_options()
@click.pass_obj
def mark_command(app: App, file: Path, apply: bool, format_: str | None, output: Path | None) -> None:
    """Tag the runs that each rule of FILE is about with `erase-after:DATE`, and print who should be told.

    A run that has such a tag keeps it. Whoever takes it off, or writes a later date, keeps the run; a date
    that cannot be read is never acted on. Held runs and those still being logged are not marked.
    """
    from wbgql.erasure.policies.sweep import mark_runs

    client, failed = app.client(), _Failures()
    marked: list[Marked] = []
    for rule in _read(file):
        with failed.of(rule.name):
            surface = make_surface(app, client)
            with no_misspelt_key():
                marked += mark_runs(
                    client.session, rule, _scope(client, rule), client.holds, surface, apply=apply
                )
    write_list(_to_tell(marked), format_, output)
    if not apply and any(one.outcome == "would_mark" for one in marked):
        app.tell("nothing was changed: --apply marks them")
    failed.tell([one for one in marked if one.outcome == "failed"])


@policy_group.command(
    "sweep",
    short_help="Plan the runs whose marked day has passed.",
    epilog=examples(
        "wbgql erase policy sweep retention.yaml -o plans/ --approvers approvers.json",
    ),
)
@click.argument("file", metavar="FILE", type=_FILE)
@approval_plan_options
@click.option("-o", "--output", "folder", required=True, type=_FILE, metavar="DIR", help="Where plans go.")
@format_option(LIST_FORMATS, "How to print.")
@global_options()
@click.pass_obj
def sweep_command(app: App, /, file: Path, folder: Path, format_: str | None, **asked: Any) -> None:
    """Plan the erasure of runs past their erase-after day, one plan per rule of FILE.

    DIR/RULE.json is a plan like any other: it needs its own approval, and nothing is deleted before. Where it
    is there already, the rule waits until that case is closed.
    """
    client, failed = app.client(), _Failures()
    rows: list[dict[str, Any]] = []
    for rule in _read(file):
        with failed.of(rule.name):
            rows.append({"rule": rule.name} | _sweep(app, client, rule, folder, asked))
    names = list(rows[0]) if rows else ["rule"]
    write_list(Listing(rows, columns={name: itemgetter(name) for name in names}), format_, None)
    failed.tell(())


def _sweep(app: App, client: Client, rule: Rule, folder: Path, asked: dict[str, Any]) -> dict[str, Any]:
    from wbgql.erasure.case.files import create_case, refuse_existing
    from wbgql.erasure.planning.asking import Ask
    from wbgql.erasure.policies.sweep import plan_sweep

    path = folder / f"{rule.name}.json"
    if path.exists():
        app.tell(f"{rule.name}: {str(path)!r} is there and waits to be approved, applied and closed")
        return {"plan": str(path), "runs": None, "digest": None, "next": None}
    refuse_existing(path)
    folder.mkdir(parents=True, exist_ok=True)
    surface = make_surface(app, client)
    ask = Ask(request=rule.asked_by, **approval_fields(app, asked))
    with no_misspelt_key():
        plan = plan_sweep(client.session, rule, _scope(client, rule), client.holds, surface, ask)
    if plan is None or not plan.runs:
        return {"plan": None, "runs": 0, "digest": None, "next": None}
    create_case(path, plan, surface.case_key)
    record = plan_record(plan, path, asked["approvers_path"])
    return {name: record[name] for name in ("plan", "runs", "digest", "next")}


def _read(file: Path) -> list[Rule]:
    from wbgql.erasure.policies.rules import read_policies

    return read_policies(file)


def _scope(client: Client, rule: Rule) -> tuple[ProjectScope, ...]:
    return client.runs(rule.projects).scope.parts


def _to_tell(marked: Iterable[Marked]) -> Listing[dict[str, Any]]:
    """One row for each owner, rule, outcome and day: whom to tell of what."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for one in marked:
        key = (one.rule, one.run.owner or "", one.outcome, one.tag or "")
        groups.setdefault(key, []).append(str(one.run.path))
    rows = [
        {"rule": rule, "user": user, "outcome": outcome, "tag": tag, "count": len(runs), "runs": runs}
        for (rule, user, outcome, tag), runs in groups.items()
    ]
    return Listing(
        rows, columns={name: itemgetter(name) for name in ("rule", "user", "outcome", "tag", "count", "runs")}
    )


class _Failures:
    """Rules that failed, while the others went on."""

    def __init__(self) -> None:
        self._failed: list[tuple[str, WbgqlError]] = []
        self._done = 0

    @contextmanager
    def of(self, rule: str) -> Iterator[None]:
        """Note a rule's failure and go on; one of the connection or the key ends the command."""
        try:
            yield
        except WbgqlError as error:
            if isinstance(error, RequestError) and not isinstance(error, (NotFound, PermissionDenied)):
                raise
            note(f"{rule}: {error}")
            self._failed.append((rule, error))
        else:
            self._done += 1

    def tell(self, runs: Sequence[object]) -> None:
        """End the command well where nothing failed.

        Raises:
            PartialError: some rules, or runs, failed and others did not.
            The first error itself, where every rule failed.
        """
        if self._failed and not self._done:
            raise self._failed[0][1]
        if self._failed or runs:
            rules = ", ".join(rule for rule, _ in self._failed) or "none"
            raise PartialError(f"rules that failed: {rules}; runs that could not be marked: {len(runs)}")
