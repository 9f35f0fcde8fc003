"""The steps of the demo, each printed with what was asked, what came back and what it cost."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wbgql.client import Client
from wbgql.deletes import Deletion
from wbgql.errors import ConfigError, Held, NotFound, StillLogging, WbgqlError
from wbgql.expressions import compile_filter, config, run, summary
from wbgql.extras import install_command
from wbgql.safety.holds import HoldRegister
from wbgql.scalars import dump_json

if TYPE_CHECKING:
    from wbgql.server import RunningServer

PROJECT = "vision"
CANARY = "CANARY-subject-4711"
LIVE = 4
DOOMED = ("live-3", "import-007", "import-011")
HELD = "live-4"

Echo = Callable[[str], None]


def run_demo(echo: Echo, *, keep: bool = False, runs: int = 200) -> None:
    """Run the whole story against a local server of its own, and leave nothing running.

    `keep` leaves the store on disk and says where. `runs`: how many the project holds, at least 20.

    Raises:
        ConfigError: the extras `server` and `demo` are not installed.
        WbgqlError: a step did not come out as told.
    """
    try:
        import wandb  # noqa: F401, PLC0415  # only to say so before anything starts

        from wbgql.server import start  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(f"the demo needs its extra; run: {install_command('demo')} ({error})") from error
    home = Path(tempfile.mkdtemp(prefix="wbgql-demo-"))
    started = time.monotonic()
    with ExitStack() as stack:
        if not keep:
            stack.callback(shutil.rmtree, home, ignore_errors=True)
        log = home / "access.jsonl"
        server = stack.enter_context(start(home / "store", access_log=log))
        story = Story(server, home, log, echo)
        story.log_runs(runs, stack)
        story.find_runs()
        story.misspell()
        story.change_a_run()
        story.hide_runs()
        story.read_independently()
        story.bring_one_back()
        story.purge()
    echo(f"\nDone in {time.monotonic() - started:.0f} s. Nothing is left running.\n")
    echo(next_steps(home / "store" if keep else None, server.api_key))


def next_steps(store: Path | None, api_key: str) -> str:
    """Return what to type after the demo: how to find the command, and a server to try it on.

    `store`: the store that the demo left, or None if it was removed; `api_key` opens it.
    """
    scripts = Path(sys.executable).parent
    found = shutil.which("wbgql")
    lines = []
    if found is None or not Path(found).samefile(scripts / "wbgql"):
        in_checkout = scripts.parent.parent == Path.cwd() and Path("Makefile").is_file()
        lines.append("make shell" if in_checkout else f"export PATH={shlex.quote(str(scripts))}:$PATH")
    data, key = ("./store", "<the key it prints>") if store is None else (shlex.quote(str(store)), api_key)
    lines += [
        f"wbgql server --data {data}",
        f"export WANDB_BASE_URL=http://127.0.0.1:8899 WANDB_API_KEY={key}    # in a second terminal",
        "wbgql whoami" if store is None else f"wbgql runs list {PROJECT} --limit 5",
    ]
    return "\n  ".join(("Now try it yourself:", *lines))


class Story:
    """One server, one project, and the steps in their order."""

    def __init__(self, server: RunningServer, home: Path, log: Path, echo: Echo) -> None:
        self.server = server
        self.home = home
        self.echo = echo
        self.traffic = Traffic(log)
        # What the caller's shell sets for W&B (a project, offline mode) is not part of the story.
        plain = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
        self.environ = {**plain, **server.environment(home / "sdk")}
        self.client = self.new_client()
        self.project = f"{server.username}/{PROJECT}"
        self.hidden: list[Deletion] = []

    def new_client(self) -> Client:
        """A fresh session: it shares nothing with the others but the server."""
        return Client(
            base_url=self.server.base_url,
            api_key=self.server.api_key,
            entity=self.server.username,
            holds=HoldRegister(self.home / "holds.json"),
        )

    def heading(self, text: str) -> None:
        """Begin a step."""
        self.echo(f"\n== {text}")

    def log_runs(self, count: int, stack: ExitStack) -> None:
        """Fill the project: some runs live with the wandb SDK, the rest as an import through wbgql."""
        self.heading("1. Log with the real wandb SDK")
        self.echo(f"server   {self.server.base_url}, its store in a temporary folder, retention 7 days")
        started = time.monotonic()
        running = self._start_running(stack)
        jobs = [self._spawn("training", "finished", str(LIVE)), self._spawn("training", "failed")]
        codes = [job.wait() for job in jobs]
        expect(codes == [0, 1], f"the training processes ended with {codes}, not [0, 1]{self._said()}")
        expect(running.poll() is None, f"the run that should go on has ended{self._said()}")
        live = self.client.runs(PROJECT, where=run.tags.has("live")).count()
        self.echo(
            f"live     {live} runs logged by wandb.init() in {time.monotonic() - started:.0f} s: "
            f"{LIVE} finished (slashed and nested metrics, NaN, a nested config, files, an artifact), "
            "one failed, one still running"
        )
        started = time.monotonic()
        for number in range(count - live):
            self._import_run(number)
        total = self.client.runs(PROJECT).count()
        self.echo(
            f"import   {count - live} more through wbgql's upserts in {time.monotonic() - started:.1f} s; "
            f"{total} runs on the server"
        )
        expect(total == count, f"{total} runs on the server, not {count}")

    def find_runs(self) -> None:
        """The question of the README, to wbgql and to `wandb.Api()`."""
        self.heading("2. Find by metric: the server filters, orders and projects")
        accuracy, rate = summary["val/acc"], config["lr"]
        where = (accuracy > 0.9) & (run.state == "finished") & ~run.tags.has("keep")
        self.echo(f"asked    where  {where}")
        self.echo(f"         order  {-accuracy}    select  {accuracy}, {rate}    limit  5")
        self.echo(f"sent     {dump_json(compile_filter(where, now=datetime.now(UTC)))}")
        with self.traffic.counted() as ours:
            client = self.new_client()
            good = client.runs(PROJECT, where=where, order=-accuracy, select=[accuracy, rate], limit=5)
            found = [[item.id, item[accuracy], item[rate]] for item in good]
        for run_id, value, lr in found:
            self.echo(f"         {run_id:<12} val/acc {value:.4f}   lr {lr:.4g}")
        self.echo(f"cost     wbgql          {ours}")
        with self.traffic.counted() as theirs:
            same = self._ask_api("find", "5")
        self.echo(f"cost     wandb.Api()    {theirs}")
        expect(same == found, f"wandb.Api() found {same}, wbgql {found}")
        count = good.count()
        self.echo(
            f"same     both gave the same ids and numbers; {count} runs match in all (one request to count)"
        )

    def misspell(self) -> None:
        """A typo is no empty answer."""
        self.heading("3. A misspelt metric")
        wrong = summary["val/accuracy"] > 0.9
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            count = self.client.runs(PROJECT, where=wrong).count()
        self.echo(f"asked    {wrong}")
        self.echo(f"answer   {count} runs; {caught[0].message}")

    def change_a_run(self) -> None:
        """Tag a run and set a config key; read it back both ways; refuse the running one."""
        self.heading("4. Change one, and read it back")
        target = "import-000"
        self.client.add_tags(target_path(target), "best")
        changed = self.client.set_config(target_path(target), {"reviewed": True})
        self.echo(
            f"wbgql    {target}: tags {list(changed.tags)}, config reviewed = {changed.config['reviewed']}"
        )
        seen = self._ask_api("changed", target)
        self.echo(f"SDK      wandb.Api() reads tags {seen['tags']}, reviewed = {seen['reviewed']}")
        expect("best" in seen["tags"] and seen["reviewed"] is True, f"wandb.Api() reads {seen}")
        try:
            self.client.add_tags(target_path("live-running"), "best")
        except StillLogging as error:
            self.echo(f"refused  {error}")
        else:
            raise WbgqlError("a change to a running run was not refused")

    def hide_runs(self) -> None:
        """Hold one run, hide others, and let the gate refuse the held one."""
        self.heading("5. Hide runs; a hold stands in the way of one")
        self.client.holds.add(
            "run", f"{self.project}/{HELD}", reason="CASE-17", added_by="demo", now=datetime.now(UTC)
        )
        try:
            self.client.delete_run(target_path(HELD))
        except Held as error:
            self.echo(f"refused  {error}")
        else:
            raise WbgqlError("the held run was not refused")
        with self.traffic.counted() as cost:
            self.hidden = self.client.delete_runs([target_path(run_id) for run_id in DOOMED])
        for deletion in self.hidden:
            self.echo(
                f"{deletion.outcome:<8} {deletion.path}: answers null, while {deletion.control} stays "
                f"visible; can be undone until {undo_text(deletion)}"
            )
        self.echo(f"cost     {cost}")

    def read_independently(self) -> None:
        """A fresh session and a fresh SDK process must both miss the runs, and see the held one."""
        self.heading("6. Independent reads")
        client = self.new_client()
        listed = set(client.runs(PROJECT).ids())
        for run_id in DOOMED:
            expect(run_id not in listed, f"{run_id} is still listed")
            self.echo(f"wbgql    a fresh session: {run_id} is not listed; {not_found(client, run_id)}")
        seen = self._ask_api("visible", *DOOMED, HELD)
        for run_id in DOOMED:
            expect(not seen[run_id]["listed"], f"wandb.Api() still lists {run_id}")
            answers = seen[run_id]["answers"]
            expect("not found" in answers, f"wandb.Api() answers {answers!r} for {run_id}")
            self.echo(f"SDK      a fresh wandb.Api(): {run_id} is not listed; asked for by its id, not found")
        expect(seen[HELD]["listed"], f"wandb.Api() does not list {HELD}, which is held")
        self.echo(f"control  {HELD} (held) is listed and answers {seen[HELD]['answers']!r}")

    def bring_one_back(self) -> None:
        """Undo one deletion, by its id."""
        self.heading("7. Undo one, while it can be undone")
        undeletion = self.client.undelete_runs(PROJECT, [DOOMED[-1]])
        expect(undeletion.restored == [DOOMED[-1]], f"restored {undeletion.restored}")
        self.echo(f"restored {', '.join(undeletion.restored)}; no other run came back (all ids compared)")

    def purge(self) -> None:
        """After retention, nothing of the hidden live run is left in the store."""
        from wbgql.server import purge, scan_store  # noqa: PLC0415  # an extra

        self.heading("8. After retention: the server purges, and the store is searched byte by byte")
        gone = DOOMED[0]
        needles = [f"{CANARY}-{gone}".encode(), gone.encode()]
        before = scan_store(self.server.data, needles)
        files = len({found.file for found in before})
        self.echo(f"before   {needle_text(needles)} found in {files} files of the store")
        expect(bool(before), "the canary was not in the store before the purge")
        early = purge(self.server.data)
        expect(early.runs == 0, f"{early.runs} runs were purged before retention ended")
        self.echo("early    a purge today removes 0 runs: retention has not ended")
        later = datetime.now(UTC) + timedelta(days=7, minutes=1)
        report = purge(self.server.data, now=later)
        self.echo(
            f"purge    with the clock set to {later:%Y-%m-%d %H:%M} UTC: {report.runs} runs and "
            f"{report.files} contents removed, {report.size_bytes:,} bytes less on disk"
        )
        left = {found.needle for found in scan_store(self.server.data, needles)}
        expect(left == {gone.encode()}, f"still in the store: {needle_text(sorted(left))}")
        self.echo(
            f"residual of {needle_text(needles)} the id is left: run-{gone}-history, which W&B keeps too"
        )
        purge(self.server.data, now=later, system_artifacts=True)
        left = {found.needle for found in scan_store(self.server.data, needles)}
        expect(not left, f"still in the store: {needle_text(sorted(left))}")
        self.echo(
            f"after    system artifacts purged: {needle_text(needles)} found nowhere, not in database,"
            " WAL or contents"
        )
        again = self._spawn("training", "again", gone)
        again.wait()
        expect(again.returncode != 0, "the id of a purged run was accepted for logging again")
        self.echo(f"id       wandb.init(id={gone!r}) is refused: an id is never used twice")

    def _import_run(self, number: int) -> None:
        accuracy = 0.5 + 0.0024 * number
        self.client.upsert_run(
            target_path(f"import-{number:03d}"),
            display_name=f"imported {number}",
            tags=["keep"] if number % 10 == 5 else ["import"],
            config={"lr": 0.001 * (1 + number % 7), "model": {"name": "vit"}},
            summary={"loss": 1.0 - accuracy / 2, "val/acc": accuracy, "_step": 100},
            state="crashed" if number % 9 == 4 else "finished",
        )

    def _start_running(self, stack: ExitStack) -> subprocess.Popen[str]:
        process = self._spawn("training", "running")
        stack.callback(finish, process)
        line = process.stdout.readline() if process.stdout else ""
        expect("running" in line, f"the run that should go on did not start{self._said()}")
        return process

    def _spawn(self, module: str, *arguments: str) -> subprocess.Popen[str]:
        log = self.home / f"{module}-{'-'.join(arguments)}.log"
        with log.open("w", encoding="utf-8") as errors:
            return subprocess.Popen(  # noqa: S603  # our own module, arguments of our own
                [sys.executable, "-m", f"wbgql.demo.{module}", *arguments],
                env=self.environ,
                cwd=self.home,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def _said(self) -> str:
        """The last lines that the processes wrote, for an error message."""
        logs = sorted(self.home.glob("*.log"), key=lambda log: log.stat().st_mtime)
        lines = [line for log in logs for line in log.read_text(encoding="utf-8").splitlines()[-5:]]
        return "".join(f"\n  {line}" for line in lines)

    def _ask_api(self, *question: str) -> Any:
        process = self._spawn("api_reads", *question)
        answer, _ = process.communicate()
        expect(process.returncode == 0, f"wandb.Api() failed on {question}{self._said()}")
        return json.loads(answer)


class Traffic:
    """Counts what reached the server, by its access log; the live run's own streaming is left out."""

    def __init__(self, log: Path) -> None:
        self._log = log

    @contextmanager
    def counted(self) -> Iterator[Cost]:
        """Count the requests made inside the block."""
        from wbgql.server.http.access_log import read_access_log  # noqa: PLC0415  # an extra

        cost = Cost()
        start = len(read_access_log(self._log))
        yield cost
        entries = [entry for entry in read_access_log(self._log)[start:] if "file_stream" not in entry.path]
        cost.requests = len(entries)
        cost.bytes_received = sum(entry.bytes_out for entry in entries)
        cost.bytes_sent = sum(entry.bytes_in for entry in entries)


@dataclass
class Cost:
    """Requests and bytes of bodies, as the server saw them."""

    requests: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0

    def __str__(self) -> str:
        noun = "request" if self.requests == 1 else "requests"
        return (
            f"{self.requests:>4} {noun}, {self.bytes_sent:>9,} bytes sent, {self.bytes_received:>9,} received"
        )


def expect(holds: bool, otherwise: str) -> None:
    """Go on if `holds`; else say what came out differently."""
    if not holds:
        raise WbgqlError(f"the demo did not come out as told: {otherwise}")


def target_path(run_id: str) -> str:
    """Path of a run of the demo's project."""
    return f"{PROJECT}/{run_id}"


def undo_text(deletion: Deletion) -> str:
    """When a deletion becomes final for users."""
    return f"{deletion.undo_until:%Y-%m-%d %H:%M} UTC" if deletion.undo_until else "unknown"


def needle_text(needles: Sequence[bytes]) -> str:
    """The byte strings looked for, for people."""
    return " and ".join(repr(needle.decode()) for needle in needles)


def not_found(client: Client, run_id: str) -> str:
    """What a read of a hidden run says."""
    try:
        client.run(target_path(run_id))
    except NotFound:
        return "asked for by its id, it is not found"
    raise WbgqlError(f"the demo did not come out as told: {run_id} still answers")


def finish(process: subprocess.Popen[str]) -> None:
    """End the run that goes on, the way its user would."""
    try:
        process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
