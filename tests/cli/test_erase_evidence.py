"""The whole story from plan to close on a server of its own, and no personal value in what leaves the case."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.caller import Caller
from tests.cli.conftest import Outcome
from tests.cli.real_command import RealCommand
from tests.server.artifact_logger import ArtifactLogger
from wbgql.erasure.case.case import open_case
from wbgql.server import purge, start

USER, PROJECT = "canaryuser", "canaryproject"
RUNS = ("canaryrunone", "canaryruntwo", "canaryrunheld")
CANARIES = (
    *(USER, PROJECT, *RUNS),
    *("canarytag", "canarynote", "canarydisplay", "canarykey", "canaryvalue", "canaryhost", "canaryprogram"),
    *("canarylog", "canarymodel", "canaryalias", "canarydata", "canarysummary"),
)
FAST = ("--equal-reads", "2", "--patience", "0s")
WEEK = timedelta(days=7)


class Story:
    """One case through all commands; `said` collects what the commands about evidence said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = start(folder / "store", username=USER, retention_s=WEEK.total_seconds())
        self.late = timedelta()
        self.erase = RealCommand(self.server, folder, now=lambda: datetime.now(UTC) + self.late)
        self.erase.environ["WBGQL_APPROVERS"] = self.file("approvers.json")
        self.said = ""
        self.storage_ids: list[str] = []

    def file(self, name: str) -> str:
        return str(self.folder / name)

    def run(self, *argv: str, code: int = 0) -> Outcome:
        got = self.erase(*argv)
        assert got.code == code, (argv, got.err)
        return got

    def tell(self, *argv: str, code: int = 0) -> Outcome:
        """Run a command whose words must name nobody."""
        got = self.run("erase", *argv, code=code)
        self.said += got.out + got.err
        return got

    def log(self) -> None:
        """Runs full of canaries, one of them held, beside others that stay."""
        caller = Caller(self.server.base_url, self.server.api_key)
        logger = ArtifactLogger(caller, PROJECT, entity=USER)
        for name in (*RUNS, "control"):
            tags = [] if name == "control" else ["canarytag"]
            made = caller.upsert(
                PROJECT,
                entityName=USER,
                name=name,
                tags=tags,
                notes="canarynote",
                displayName="canarydisplay",
                config={"canarykey": {"value": "canaryvalue"}},
                host="canaryhost",
                jobProgram="canaryprogram.py",
                summaryMetrics={"canarysummary": 1},
            )
            self.storage_ids.append(made["bucket"]["id"])
            lines = {"output.log": {"offset": 0, "content": ["canarylog\n"]}}
            caller.stream(PROJECT, name, entity=USER, files=lines).raise_for_status()
            caller.stream(PROJECT, name, entity=USER, complete=True, exitcode=0).raise_for_status()
        logger.log("canarymodel", {"canarydata": b"canarydata"}, runName=RUNS[0])
        logger.log("canarymodel", {"more": b"canarydata2"}, runName=RUNS[1], aliases=["canaryalias"])
        self.run("hold", "add", "--run", f"{USER}/{PROJECT}/{RUNS[2]}", "--reason", "CASE-17")

    def decide(self) -> None:
        """Keys, a plan, and its approval."""
        for name in ("planner", "officer", "certifier"):
            self.run("erase", "key", "new", self.file(f"{name}.pem"))
        listed = ["--key", self.file("officer.pem.pub"), "--role", "data-protection officer"]
        self.run("erase", "approvers", "make", *listed, "-o", self.file("approvers.json"))
        where = ["--where", '"canarytag" in tags', "--max-percent", "100"]
        why = ["--request", "DSR-4711", "--basis", "gdpr-17", "--key", self.file("planner.pem")]
        asked = ["--approvers", self.file("approvers.json"), "-o", self.file("plan.json")]
        self.run("erase", "plan", f"{USER}/{PROJECT}", *where, *why, *asked)
        self.digest = open_case(self.folder / "plan.json", environ=self.erase._environ()).plan.digest
        word = ["--yes", "--digest", self.digest]
        self.run("erase", "approve", self.file("plan.json"), "--key", self.file("officer.pem"), *word)

    def apply(self) -> None:
        host = self.server.base_url.removeprefix("http://")
        word = ["--digest", self.digest, "--yes", "--host", host]
        self.run("erase", "apply", self.file("plan.json"), *word, "--rate", "1000")

    def advance(self, **span: float) -> None:
        self.server.advance(timedelta(**span).total_seconds())
        self.late += timedelta(**span)

    def certify(self) -> dict[str, Any]:
        got = self.tell(
            "certify", self.file("plan.json"), "--key", self.file("certifier.pem"), "--format", "json"
        )
        return dict(json.loads(got.out))

    def check(self, *more: str, code: int = 0) -> Outcome:
        trusted = ["--trusted-keys", self.file("certifier.pem.pub")]
        return self.tell("check", self.file("plan.json.certificate"), *trusted, *more, code=code)

    def reports(self) -> None:
        for format_ in ("html", "md", "json", "csv"):
            self.tell("report", self.file("plan.json"), "--format", format_)

    @property
    def evidence(self) -> str:
        """Everything that lies in folders of certificates."""
        folders = self.folder.glob("plan.json.certificate*")
        return "".join(file.read_text() for folder in folders for file in folder.iterdir())


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    made = Story(tmp_path)
    with made.server:
        yield made


def _named(text: str, story: Story) -> list[str]:
    return [canary for canary in (*CANARIES, *story.storage_ids) if canary in text]


def test_24_from_plan_to_close_nothing_that_leaves_the_case_names_anybody(story, caplog):
    caplog.set_level(logging.INFO)
    story.log()
    story.decide()
    story.apply()
    story.tell("verify", story.file("plan.json"), *FAST)
    first = story.certify()
    story.check()
    story.reports()

    assert first["stage"] == "HIDDEN"
    assert first["runs"] == {"hidden": 2}
    case = (story.folder / "plan.json").read_text()
    assert {USER, PROJECT, *RUNS} <= set(_named(case, story))

    story.advance(days=8)
    purge(story.server.data, now=datetime.now(UTC) + story.late, system_artifacts=True)
    story.tell("verify", story.file("plan.json"), *FAST, "--now", "--storage", f"local:{story.server.data}")
    second = story.certify()
    inside = story.run(
        *(
            "erase",
            "check",
            story.file("plan.json.certificate"),
            "--trusted-keys",
            story.file("certifier.pem.pub"),
        ),
        *("--case-key", story.file("plan.json.key"), "--run", f"{USER}/{PROJECT}/{RUNS[0]}"),
    )
    story.reports()

    assert second["stage"] == "STORAGE_VERIFIED"
    assert second["supersedes"] == first["digest"]
    assert inside.rows[-1]["detail"] == "yes: hidden, absent_in_store"

    word = ["--yes", "--digest", story.digest]
    story.tell("close", story.file("plan.json"), "--key", story.file("certifier.pem"), *word)
    story.check()
    story.reports()

    assert _named(story.said + caplog.text, story) == []
    assert _named(story.evidence, story) == []
    left = [
        file
        for file in story.folder.rglob("*")
        if file.is_file() and story.server.data not in file.parents and file.name != "holds.json"
    ]
    assert [file for file in left if _named(file.read_bytes().decode("latin-1"), story)] == []
    assert not (story.folder / "plan.json").exists()


def _cut_actions(story: Story) -> None:
    case = open_case(story.folder / "plan.json", environ=story.erase._environ())
    with case.ledger.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM actions WHERE run_no = 1")
    case.close()


def test_24_errors_and_tracebacks_name_nobody(story):
    story.log()
    story.decide()
    story.apply()
    plan, key = story.file("plan.json"), story.file("certifier.pem")
    story.tell("certify", plan, "--key", key, "--debug", code=10)
    story.tell("verify", plan, *FAST)
    story.certify()
    for part in ("certificate.json", "journal.jsonl", "population.csv"):
        bundle = Path(shutil.copytree(story.file("plan.json.certificate"), story.file(f"copy-{part}")))
        (bundle / part).write_bytes((bundle / part).read_bytes().replace(b"0", b"1", 1))
        trusted = ["--trusted-keys", story.file("certifier.pem.pub")]
        story.tell("check", str(bundle), *trusted, "--debug", code=10)
        story.tell("report", str(bundle), "--debug", code=10)
    story.tell("close", plan, "--key", key, "--debug", code=10)
    _cut_actions(story)
    story.tell("certify", plan, "--key", key, "--debug", code=10)
    content = (story.folder / "plan.json").read_bytes()
    (story.folder / "plan.json").write_bytes(content[:-100])
    story.tell("certify", plan, "--key", key, "--debug", code=2)

    assert story.said.count("Traceback") >= 10
    assert _named(story.said, story) == []
