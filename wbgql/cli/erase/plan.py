"""`wbgql erase plan`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wbgql.cli.erase.keys import find_approvers, open_key
from wbgql.cli.runs.ids import read_ids
from wbgql.cli.runs.selecting import no_misspelt_key
from wbgql.cli.shared.app import App, examples, global_options, host_of, not_empty
from wbgql.cli.shared.approval import ask_for
from wbgql.cli.shared.bars import bar
from wbgql.cli.shared.output import OBJECT_FORMATS, format_option, write_object
from wbgql.cli.shared.terminal import note
from wbgql.errors import UsageError

if TYPE_CHECKING:
    from wbgql.client import Client
    from wbgql.erasure.planning.asking import Ask
    from wbgql.erasure.planning.making import Surface
    from wbgql.erasure.records.plan import Approvers, Plan, Request
    from wbgql.erasure.records.profile import Profile
    from wbgql.paths import ProjectPath

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path)
_MAX_PROFILE_BYTES = 1024 * 1024


def approval_plan_options(command: F) -> F:
    """Add `--approvers`, `--required`, `--key` and `--ttl`: who may approve a plan, and until when."""
    for option in (
        click.option("--ttl", metavar="SPAN", default="7d", show_default=True, help="When it expires."),
        click.option(
            "--key", "key_path", type=_FILE, metavar="FILE", help="Your private key: it then cannot approve."
        ),
        click.option(
            "--required",
            type=click.IntRange(min=1),
            metavar="N",
            help="How many of the approvers must sign  [default: 1]",
        ),
        click.option(
            "--approvers",
            "approvers_path",
            type=_FILE,
            metavar="FILE",
            help="Keys that may approve; with none, a typed phrase is enough  [default: $WBGQL_APPROVERS]",
        ),
    ):
        command = option(command)
    return command


@click.command(
    "plan",
    short_help="Find what would go, and freeze it.",
    epilog=examples(
        "wbgql erase plan 'acme/*' --where '\"subject:4711\" in tags' --request DSR-4711 --basis gdpr-17"
        " -o plan.json",
        'wbgql erase plan acme/vision --where \'created_at < ago("2w") and state == "crashed"\''
        " --request RET-7 --basis retention --canary tag:keep --max-runs 500 --max-percent 20 -o plan.json",
        "wbgql erase plan --ids-from ids.txt --request DSR-4711 --basis gdpr-17 --key me.pem"
        " --approvers approvers.json --required 2 -o plan.json",
    ),
)
@click.argument("paths", nargs=-1, metavar="[PROJECT]...", callback=not_empty)
@click.option("--where", metavar="TEXT", callback=not_empty, help="Which runs; `ago()` is frozen.")
@click.option(
    "--ids-from",
    metavar="FILE",
    callback=not_empty,
    help="Runs, entity/project/run, one a line; - is stdin.",
)
@click.option("--request", "reference", required=True, metavar="REF", help="A ticket; never a name.")
@click.option("--basis", required=True, metavar="TEXT", help="The legal basis, such as gdpr-17.")
@click.option("--received", metavar="DATE", help="When the request came, as 2026-01-31.")
@click.option("--due", metavar="DATE", help="When it is due.")
@click.option(
    "--max-runs",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="N",
    help="Cap by count.",
)
@click.option(
    "--max-percent",
    type=click.IntRange(0, 100),
    default=10,
    show_default=True,
    metavar="N",
    help="Cap by percent of each project's runs; one run may always go.",
)
@click.option(
    "--entire-project",
    "entire",
    multiple=True,
    metavar="PROJECT",
    callback=not_empty,
    help="All of its runs may go.",
)
@click.option(
    "--canary",
    "canaries",
    multiple=True,
    metavar="RUN|tag:NAME",
    callback=not_empty,
    help="Must never match; one hit stops all.",
)
@click.option("--only-permitted", is_flag=True, help="Leave out what this key may not delete.")
@click.option("--allow-missing", is_flag=True, help="Leave out ids that are not there.")
@click.option("--unlink", is_flag=True, help="Take versions off portfolios and registries, then delete them.")
@click.option(
    "--aliased",
    type=click.Choice(["erase", "keep"]),
    default="keep",
    show_default=True,
    help="What becomes of versions with an alias that somebody gave them.",
)
@click.option("--files", "with_files", is_flag=True, help="Delete the runs' files one by one too, at once.")
@click.option(
    "--declare", multiple=True, metavar="CLOCK=SPAN", callback=not_empty, help="Such as undelete_window=7d."
)
@click.option("--declared-by", metavar="ROLE", callback=not_empty, help="Who answers for --declare.")
@click.option("--profile", type=_FILE, metavar="FILE", help="What `erase probe` found out, to be cited.")
@approval_plan_options
@click.option("-o", "--output", "plan_path", required=True, type=_FILE, metavar="FILE", help="The plan.")
@format_option(OBJECT_FORMATS, "How to print the summary.")
@global_options()
@click.pass_obj
def plan_command(app: App, /, plan_path: Path, format_: str | None, **asked: Any) -> None:
    """Find the runs that match, decide over what hangs on them, and write it down; nothing is changed.

    Rights to delete every run, holds, caps and canaries are checked; the runs are read twice and each is held
    to the rule here too. FILE (mode 0600) holds real ids: it is personal data itself. Beside it, FILE.key is
    what names the runs in the evidence. `wbgql erase show FILE` says what would go and what stays.
    """
    from wbgql.erasure.case.files import create_case, refuse_existing
    from wbgql.erasure.planning.making import make_plan

    refuse_existing(plan_path)
    client = app.client()
    ask = make_ask(app, client, asked)
    _warn(app, ask.request, plan_path)
    surface = make_surface(app, client)
    with no_misspelt_key():
        plan = make_plan(client.session, ask, client.holds, surface)
    if plan.runs:
        create_case(plan_path, plan, surface.case_key)
    else:
        app.tell("nothing matches: there is nothing to do, and no plan was written")
    write_object(plan_record(plan, plan_path, asked["approvers_path"]), format_, None)


def _warn(app: App, request: Request, plan_path: Path) -> None:
    """Say on stderr what is legal and probably not meant: dates in the past, a request that has a case."""
    from wbgql.erasure.case.case import database_url, other_cases

    today = app.now().date().isoformat()
    if request.due_at is not None and request.due_at < today:
        note(f"warning: --due {request.due_at} has passed: this answer is late")
    if request.received_at is not None and request.received_at > today:
        note(f"warning: --received {request.received_at} lies in the future")
    url = database_url(environ=app.environ)
    for other in other_cases(request.reference, plan_path.absolute().parent, url):
        note(f"warning: request {request.reference!r} is planned already: {other}")


def make_surface(app: App, client: Client) -> Surface:
    """What planning takes from outside: time, randomness, the terminal."""
    from wbgql.erasure.planning import open_surface

    return open_surface(
        client.settings.base_url,
        app.now(),
        stages=lambda name: bar(app, name),
        confirm_entire=lambda project, runs: _confirm_entire(app, client, project, runs),
    )


def plan_record(plan: Plan, plan_path: Path, approvers_path: Path | None) -> dict[str, Any]:
    """The summary of a plan that was just made: what is in it, and the next command."""
    totals = plan.totals
    following = None
    listed = "" if approvers_path is None else f" --approvers {approvers_path}"
    if plan.runs and plan.approvers is not None:
        following = f"wbgql erase approve {plan_path} --key KEY{listed}"
    elif plan.runs:
        following = f"wbgql erase apply {plan_path} --digest {plan.digest}"
    return {
        "nothing_to_do": not plan.runs,
        "plan": str(plan_path) if plan.runs else None,
        "digest": plan.digest if plan.runs else None,
        "runs": totals.planned,
        "matched": totals.matched,
        "excluded": totals.excluded,
        "artifacts_erased": totals.artifacts_erased,
        "artifacts_kept": totals.artifacts_kept,
        "files": totals.files,
        "run_bytes": totals.run_bytes,
        "artifact_bytes": totals.artifact_bytes,
        "not_read": [part.path for part in plan.not_read],
        "approvals": plan.approvers.required if plan.approvers else 0,
        "expires_at": plan.expires_at if plan.runs else None,
        "next": following,
    }


def make_ask(app: App, client: Client, asked: dict[str, Any]) -> Ask:
    """Read the options of `plan` into what is asked for.

    Raises:
        UsageError: one of them cannot be meant.
    """
    from wbgql.erasure.planning.asking import Ask
    from wbgql.erasure.planning.caps import Canaries
    from wbgql.erasure.planning.decisions import Policy
    from wbgql.erasure.reading.clocks import parse_declared
    from wbgql.erasure.records.plan import Caps, Request

    source = asked["ids_from"]
    ids = None if source is None else client.run_paths(read_ids(source))
    paths = asked["paths"]
    return Ask(
        request=Request(
            reference=asked["reference"],
            basis=asked["basis"],
            received_at=_day(asked["received"]),
            due_at=_day(asked["due"]),
        ),
        scope=client.runs(list(paths)).scope.parts if paths else (),
        where=asked["where"],
        ids=ids,
        entire=frozenset(client.project_path(path) for path in asked["entire"]),
        caps=Caps(max_runs=asked["max_runs"], max_percent=asked["max_percent"]),
        canaries=Canaries.parse(asked["canaries"]),
        policy=Policy(unlink=asked["unlink"], aliased=asked["aliased"]),
        only_permitted=asked["only_permitted"],
        allow_missing=asked["allow_missing"],
        with_files=asked["with_files"],
        declared=parse_declared(asked["declare"], asked["declared_by"]),
        profile=None if asked["profile"] is None else _profile(asked["profile"]),
        **approval_fields(app, asked),
    )


def approval_fields(app: App, asked: dict[str, Any]) -> dict[str, Any]:
    """What `approval_plan_options` asked for, as fields of `Ask`.

    Raises:
        UsageError: more signatures than keys that may sign, or a file that is not one.
    """
    from wbgql.erasure.reading.clocks import parse_span

    key_id = None if asked["key_path"] is None else open_key(app, asked["key_path"]).key_id
    return {
        "planner_key_id": key_id,
        "approvers": _approvers(app, asked["approvers_path"], asked["required"], key_id),
        "ttl": timedelta(seconds=parse_span(asked["ttl"])),
    }


def _approvers(app: App, path: Path | None, required: int | None, key_id: str | None) -> Approvers | None:
    from wbgql.erasure.records.approvals import require

    listed = find_approvers(app, path)
    if listed is not None:
        return require(listed, required, key_id)
    if required is not None:
        raise click.UsageError("--required says how many of the --approvers must sign: name their file")
    return None


def _profile(path: Path) -> Profile:
    from wbgql.erasure.records.profile import parse_profile
    from wbgql.erasure.records.small_files import read_small

    return parse_profile(read_small(path, _MAX_PROFILE_BYTES, "a profile"))


def _confirm_entire(app: App, client: Client, project: ProjectPath, runs: int) -> bool:
    if not app.is_interactive():
        return False
    app.tell(f"the rule matches all {runs} runs of {str(project)!r} on {host_of(client)}")
    ask_for(str(project))
    return True


def _day(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise UsageError(f"{text!r} is no date: write it as 2026-01-31") from error
