"""An erasure from the request to the closed case, on a local server, with nothing but the commands.

    python examples/erasure/story.py [--keep DIR]

Plan, show, approve, apply (killed half-way, the same command again), verify, an undelete that `watch`
notices, certify, check, the end of the undelete window, a look at the bytes, report, close. Takes about two
minutes, one of them waiting for the window (60 s here, 7 days on W&B). Nothing is left running.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from wbgql.client import Client
from wbgql.paths import ProjectPath
from wbgql.server import RunningServer, start

HERE = Path(__file__).parent
CANARY = "CANARY-subject-4711"
TAG = "subject:4711"
WINDOW_S = 60
RUNS, OF_SUBJECT, BY_SDK = 60, 12, 2
COLLEAGUE_KEY = "c0ffee" * 7


def main() -> None:
    """Run the story in a folder that is removed afterwards, or in the one that is named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="Work in DIR and leave it there.")
    given = parser.parse_args()
    with ExitStack() as stack:
        home = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wbgql-erasure-")))
        home.mkdir(parents=True, exist_ok=True)
        server = stack.enter_context(start(home / "server", retention_s=WINDOW_S, purge_interval_s=3600.0))
        story = Story(server, home)
        story.run()
        if given.keep:
            print(f"\nAll of it is in {str(home)!r}.")


@dataclass
class Story:
    """One server, one case, and the steps in their order."""

    server: RunningServer
    home: Path
    environ: dict[str, str] = field(init=False)
    digest: str = ""

    def __post_init__(self) -> None:
        plain = {
            name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "WBGQL_"))
        }
        self.environ = {
            **plain,
            **self.server.environment(self.home / "sdk"),
            "WANDB_ENTITY": self.server.username,
            "WBGQL_STATE": str(self.home / "state"),
            "WBGQL_HOLDS": str(self.home / "holds.json"),
            "WBGQL_APPROVERS": "approvers.json",
        }
        self.host = self.server.base_url.partition("//")[2]

    def run(self) -> None:
        """All steps."""
        self.log_runs()
        self.plan()
        self.approve()
        self.apply_half()
        self.apply()
        self.verify()
        self.come_back()
        self.certify("HIDDEN")
        self.wait_for_the_window()
        self.look_at_the_bytes()
        self.report()
        self.close()

    def log_runs(self) -> None:
        """Runs of the subject and of others; two of the subject's come from the real wandb SDK."""
        heading("1. A project with runs of one subject, and many that must stay")
        trainings = [
            subprocess.Popen(
                [sys.executable, HERE / "train.py", f"sdk-{number}", TAG, CANARY],
                env=self.environ,
                cwd=self.home,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for number in range(BY_SDK)
        ]
        with self.client() as client:
            for number in range(RUNS - BY_SDK):
                tags = [TAG] if number < OF_SUBJECT - BY_SDK else ["batch"]
                client.upsert_run(
                    f"vision/run-{number:03}", tags=tags, summary={"loss": 1 / (number + 1)}, state="finished"
                )
        expect(all(training.wait() == 0 for training in trainings), "a training failed")
        print(f"{RUNS} runs, {OF_SUBJECT} with the tag {TAG!r}: {BY_SDK} by wandb.init(), with a model each")
        self.wbgql("hold", "init")
        self.wbgql("hold", "add", "--run", f"{self.server.username}/vision/run-003", "--reason", "CASE-17")

    def verify(self) -> None:
        """Read all of it again. Exit 15: only artifacts are left that the provider alone can remove."""
        self.erase("verify", "plan.json", "--now", "--format", "table", code=15)

    def plan(self) -> None:
        """Keys, then the plan. The planner's key is in it, and so cannot approve."""
        heading("2. Plan: exactly these runs, and what stays")
        for name in ("planner", "officer", "owner", "certifier"):
            self.erase("key", "new", f"{name}.pem", quiet=True)
        self.erase(
            *("approvers", "make", "-o", "approvers.json"),
            *("--key", "officer.pem.pub", "--role", "data-protection officer"),
            *("--key", "owner.pem.pub", "--role", "system owner"),
        )
        self.erase(
            *("plan", f"{self.server.username}/*", "--where", f'"{TAG}" in tags'),
            *("--request", "DSR-4711", "--basis", "gdpr-17", "--max-percent", "25"),
            *(
                "--canary",
                "tag:batch",
                "--key",
                "planner.pem",
                "--approvers",
                "approvers.json",
                "--required",
                "2",
            ),
            *("-o", "plan.json", "--format", "table"),
        )
        self.erase("show", "plan.json", "--format", "table")

    def approve(self) -> None:
        """Two signatures; the planner's is refused."""
        heading("3. Approve: two keys, neither the planner's")
        self.digest = json.loads(self.erase("show", "plan.json", "--format", "json", quiet=True))["digest"]
        yes = ("--yes", "--digest", self.digest)
        self.erase("approve", "plan.json", "--key", "planner.pem", *yes, code=7)
        self.erase("approve", "plan.json", "--key", "officer.pem", *yes)
        self.erase("approve", "plan.json", "--key", "owner.pem", *yes)

    def apply_half(self) -> None:
        """Kill the job when it has begun."""
        heading("4. Apply, killed half-way")
        command = self._command("erase", *self._apply(rate=4))
        show(command, "&")
        job = subprocess.Popen(
            command, env=self.environ, cwd=self.home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        before = self.visible()
        while self.visible() > before - 2:
            expect(job.poll() is None, "the job ended before it could be killed")
            time.sleep(0.1)
        job.send_signal(signal.SIGKILL)
        job.wait()
        print(f"kill -9 with {before - self.visible()} runs hidden")
        self.erase("status", "plan.json", "--format", "table")

    def apply(self) -> None:
        """The same command again: it looks up what was under way, and goes on."""
        heading("5. The same command again")
        self.erase(*self._apply())
        expect(self.visible() == RUNS - OF_SUBJECT + 1, "not exactly the runs of the plan are gone")

    def come_back(self) -> None:
        """A colleague brings runs back; `watch` notices, and the same plan is applied to them again."""
        heading("6. A colleague undeletes two runs")
        ids = ("run-001", "run-005")
        self.wbgql("runs", "undelete", "vision", *ids, "--yes", "--host", self.host)
        self.erase("watch", "plan.json", "--once", code=10)
        self.erase(*self._apply())
        self.verify()

    def certify(self, stage: str) -> None:
        """Sign what was proved, and check it with the certifier's public key alone."""
        heading(f"7. Certify: {stage}")
        self.erase("certify", "plan.json", "--key", "certifier.pem", "--format", "table")
        self.erase(
            "check", "plan.json.certificate", "--trusted-keys", "certifier.pem.pub", "--format", "table"
        )

    def wait_for_the_window(self) -> None:
        """After the window nobody can bring the runs back; a read proves that nobody did."""
        heading(f"8. The undelete window ends ({WINDOW_S} s here)")
        time.sleep(WINDOW_S + 1)
        self.verify()
        self.erase("certify", "plan.json", "--key", "certifier.pem", "--format", "table")

    def look_at_the_bytes(self) -> None:
        """The server purges; the store is searched; the server's own artifacts are what is left."""
        heading("9. Purge, and a look at the bytes")
        data = str(self.home / "server")
        texts = self.home / "texts.txt"
        texts.write_text(f"{CANARY}\n")
        look = (
            "verify",
            "plan.json",
            "--now",
            "--storage",
            f"local:{data}",
            "--texts-from",
            "texts.txt",
            "--format",
            "table",
        )
        self.wbgql("server", "purge", "--data", data)
        self.erase(*look, code=10)
        self.wbgql("server", "purge", "--system-artifacts", "--data", data)
        self.erase(*look)
        self.erase("certify", "plan.json", "--key", "certifier.pem", "--format", "table")
        self.erase(
            "check", "plan.json.certificate", "--trusted-keys", "certifier.pem.pub", "--format", "table"
        )
        self.erase(
            *("check", "plan.json.certificate", "--trusted-keys", "certifier.pem.pub"),
            *("--case-key", "plan.json.key", "--run", f"{self.server.username}/vision/run-001"),
        )

    def report(self) -> None:
        """What an auditor is handed."""
        heading("10. Report")
        self.erase("report", "plan.json.certificate", "--format", "html", "-o", "report.html")

    def close(self) -> None:
        """Destroy the plan and whatever names a run; the certificate can still be checked."""
        heading("11. Close")
        self.erase("close", "plan.json", "--key", "certifier.pem", "--yes", "--digest", self.digest)
        self.erase(
            "check", "plan.json.certificate", "--trusted-keys", "certifier.pem.pub", "--format", "table"
        )
        left = [path.name for path in self.home.rglob("*") if path.is_file() and self._names_a_run(path)]
        expect(not left, f"files still name a run or the subject: {left}")
        print("no file of the case names a run or the subject any more")

    def _names_a_run(self, path: Path) -> bool:
        """Whether a file of the case holds an id or the canary: not the SDK folder, the store, the inputs."""
        top = path.relative_to(self.home).parts[0]
        if top in ("sdk", "wandb", "texts.txt", "holds.json", "server"):
            return False
        content = path.read_bytes()
        return any(needle in content for needle in (CANARY.encode(), b"run-001", b"sdk-0"))

    def _apply(self, rate: int = 100) -> Sequence[str]:
        yes = ("--yes", "--host", self.host)
        return ("apply", "plan.json", "--digest", self.digest, *yes, "--rate", str(rate))

    def client(self) -> Client:
        """A client of the server's admin."""
        return Client(base_url=self.server.base_url, api_key=self.server.api_key, entity=self.server.username)

    def visible(self) -> int:
        """How many runs the project shows."""
        with self.client() as client:
            return client.runs(ProjectPath(self.server.username, "vision")).count()

    def erase(self, *args: str, code: int = 0, quiet: bool = False) -> str:
        """Run `wbgql erase ...`."""
        return self.wbgql("erase", *args, code=code, quiet=quiet)

    def wbgql(self, *args: str, code: int = 0, quiet: bool = False) -> str:
        """Run a command, show it with what it says, and hold it to its exit code."""
        command = self._command(*args)
        done = subprocess.run(
            command, env=self.environ, cwd=self.home, capture_output=True, text=True, check=False
        )
        if not quiet:
            show(command)
            print(done.stderr + done.stdout, end="")
            if code:
                print(f"(exit {done.returncode})")
        expect(done.returncode == code, f"exit {done.returncode}, not {code}:\n{done.stderr}{done.stdout}")
        return done.stdout

    def _command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "wbgql", *args]


def heading(text: str) -> None:
    """Begin a step."""
    print(f"\n== {text}", flush=True)


def show(command: Sequence[str], suffix: str = "") -> None:
    """Print a command as one would type it."""
    print(f"$ wbgql {shlex.join(command[3:])} {suffix}".rstrip(), flush=True)


def expect(holds: bool, why: str) -> None:
    """End the story where a step did not come out as told."""
    if not holds:
        sys.exit(f"the story broke: {why}")


if __name__ == "__main__":
    main()
