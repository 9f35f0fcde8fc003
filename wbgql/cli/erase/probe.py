"""`wbgql erase probe`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from wbgql.cli.shared.app import App, examples, global_options, not_empty
from wbgql.cli.shared.approval import Act, announce, approval_options, approve, check_host
from wbgql.cli.shared.output import OBJECT_FORMATS, format_option, write_object, write_text

_RUNS = 3


@click.command(
    "probe",
    short_help="Find out how a server deletes, with throw-away runs.",
    epilog=examples(
        "wbgql erase probe -o profile.json",
        "wbgql erase probe acme/erasure-probe --yes --host wandb.acme.com -o profile.json",
    ),
)
@click.argument("project_path", required=False, metavar="[PROJECT]", callback=not_empty)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the profile to FILE, for `plan --profile`.",
)
@click.option(
    "--with-sdk/--without-sdk",
    default=True,
    show_default=True,
    help="Log one more run with the wandb SDK, to ask about its artifact and its file.",
)
@format_option(OBJECT_FORMATS, "How to print it.")
@approval_options
@global_options()
@click.pass_obj
def probe_command(
    app: App,
    project_path: str | None,
    output: Path | None,
    with_sdk: bool,
    format_: str | None,
    yes: bool,
    host: str | None,
) -> None:
    """Find out how a server deletes: make two runs in a project of their own, hide them, and look.

    PROJECT must not exist yet; without it a name is made up in your default entity. What a second deletion
    answers, what is said of a hidden run, whether undeleting honours its filter, which rate-limit headers
    come, what becomes of the artifact and the file of a hidden run: the answers are a profile, whose digest a
    plan and its certificate cite.

    The artifact and the file are logged by the wandb SDK, in a process of its own. If it is not installed,
    what is asked about them is unanswered.

    The runs are hidden again at the end, and the project stays, without visible runs. A phrase must be typed
    on a terminal; elsewhere --yes and --host are needed.
    """
    import secrets

    from wbgql.erasure.probing.logged import log_with_sdk
    from wbgql.erasure.probing.probe import HeaderRecorder, Probe
    from wbgql.erasure.records.canonical import encode
    from wbgql.paths import parse_project_path
    from wbgql.viewer import get_rights, get_viewer
    from wbgql.wire.session import Session
    from wbgql.wire.transport import GqlTransport

    client = app.client()
    check_host(client, host)
    entity = client.settings.entity or get_viewer(client.session).entity
    text = project_path or f"wbgql-probe-{secrets.token_hex(4)}"
    project = parse_project_path(text, entity=entity)
    act = Act(
        phrase=f"probe {project}",
        count=_RUNS,
        project=str(project),
        entity_from="the path" if "/" in text else client.settings.origin.get("entity", "the key's owner"),
    )
    announce(client, act, get_rights(client.session, project.entity))
    approve(app, client, act, yes=yes, host=host)
    recorder = HeaderRecorder(GqlTransport(client.settings))
    with Session(recorder, documents=client.documents) as session:
        probe = Probe(
            session,
            project,
            app.holds(),
            headers=recorder,
            log=log_with_sdk(client.settings) if with_sdk else None,
            fetcher=client.fetcher,
        )
        profile = probe.run(client.settings.base_url)
    if output is not None:
        write_text(f"{encode(profile).decode()}\n", output)
    record: dict[str, Any] = {
        "digest": profile.digest,
        "role": profile.role,
        "answers": {answer.question: answer.answer for answer in profile.answers},
        "left": profile.left,
    }
    write_object(record, format_, None, flat=record | record["answers"])
    app.tell(f"left on the server: {'; '.join(profile.left)}")
