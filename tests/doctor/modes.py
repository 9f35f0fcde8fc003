"""What `doctor` and `schema check --live` say of the local server in each of its modes.

    python -m tests.doctor.modes

prints the table of docs/servers.md.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cli.real_command import RealCommand
from wbgql.server import start

MODES: Mapping[str, Mapping[str, Any]] = {
    "as it comes": {},
    "--like saas-2026": {"like": "saas-2026"},
    "--deleted-ids 409": {"deleted_ids": 409},
    "--failing-reads 3": {"failing_reads": 3},
    "--audit-log paged": {"audit_log": "paged"},
    "--bulk-filters ignored": {"bulk_filters": "ignored"},
    "--moves task": {"moves": "task"},
    "--fork-samples segments": {"fork_samples": "segments"},
    "--lists opaque": {"lists": "opaque"},
    "--stale-reads 1s": {"stale_reads_s": 1.0},
    "--undelete all": {"undelete": "all"},
    "--introspection off": {"introspection": "off"},
    "--without Run.storageBytes": {"without": ("Run.storageBytes",)},
    "--without Project.fields": {"without": ("Project.fields",)},
    "--without 'Run.config(keys:)'": {"without": ("Run.config(keys:)",)},
    "--without Entity.members": {"without": ("Entity.members",)},
    "--without ServerInfo": {"without": ("ServerInfo",)},
    "--without UndeleteRunsInput": {"without": ("UndeleteRunsInput",)},
    "--null Run.user": {"null": ("Run.user",)},
}
HEAD = (
    "| `wbgql server ...` | `doctor`: exit code, problems and notes | `schema check --live`: exit code, operations | commands |\n"
    "|---|---|---|---|\n"
)


def row(mode: str) -> str:
    """One row of the table. Starts a server of its own."""
    with tempfile.TemporaryDirectory() as name, start(Path(name) / "store", **MODES[mode]) as server:
        command = RealCommand(server, Path(name))
        doctor = command("doctor", "--json")
        checked = command("schema", "check", "--live")
    found = [f"{one['check']}: {one['level']}" for one in json.loads(doctor.out) if one["level"] != "ok"]
    # A server on loopback has neither a certificate nor a name of its own.
    found = [one for one in found if one not in ("tls: note",)]
    live = json.loads(checked.out)
    counts = (Counter(each["outcome"] for each in live[part]) for part in ("operations", "commands"))
    said = [", ".join(f"{number} {outcome}" for outcome, number in sorted(one.items())) for one in counts]
    shown = "" if mode == "as it comes" else f"`{mode}`"
    return (
        f"| {shown or mode} | {doctor.code}{': ' if found else ''}{', '.join(found)} "
        f"| {checked.code}: {said[0]} | {said[1]} |\n"
    )


def main() -> None:
    print(HEAD, *map(row, MODES), sep="", end="")


if __name__ == "__main__":
    main()
