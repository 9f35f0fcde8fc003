"""`wbgql erase`: the group."""

from __future__ import annotations

import click

from wbgql.cli.erase import apply as erase_apply
from wbgql.cli.erase import certify as erase_certify
from wbgql.cli.erase import close as erase_close
from wbgql.cli.erase import keys as erase_keys
from wbgql.cli.erase import plan as erase_plan
from wbgql.cli.erase import policy as erase_policy
from wbgql.cli.erase import probe as erase_probe
from wbgql.cli.erase import report as erase_report
from wbgql.cli.erase import returned as erase_returned
from wbgql.cli.erase import show as erase_show
from wbgql.cli.erase import verify as erase_verify
from wbgql.cli.shared.app import examples


@click.group(
    "erase",
    short_help="Erase runs and prove it: plan, approve, apply, verify, certify.",
    epilog=examples(
        "wbgql erase key new officer.pem",
        "wbgql erase approve plan.json --key officer.pem --approvers approvers.json",
    ),
)
def erase_group() -> None:
    """Erase runs and prove it: exactly those of an approved plan, and no more is said than was proved.

    What W&B's deletion does, and what it leaves, is in docs/erasure.md.
    """


for _command in (
    erase_plan.plan_command,
    erase_show.show_command,
    erase_policy.policy_group,
    erase_keys.key_group,
    erase_keys.approvers_group,
    erase_keys.approve_command,
    erase_apply.apply_command,
    erase_apply.status_command,
    erase_apply.stop_command,
    erase_verify.verify_command,
    erase_verify.watch_command,
    erase_certify.certify_command,
    erase_certify.check_command,
    erase_probe.probe_command,
    erase_returned.returned_command,
    erase_report.report_command,
    erase_close.close_command,
):
    erase_group.add_command(_command)
