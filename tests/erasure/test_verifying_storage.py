"""A look at the bytes is a verification of its own kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from tests.erasure.applied import AppliedJob, Time
from wbgql.erasure.records.verification import Verification
from wbgql.erasure.verifying.storage import verify_storage
from wbgql.erasure.verifying.storage_probes import FsspecProbe, Sight, Sights, Thing


class FakeProbe:
    """Says the same of everything. `.alive` is what it was given to try itself on."""

    name = "fake"

    def __init__(self, sight: Sight, **more: object) -> None:
        self._sight = sight
        self._more = more
        self.alive: list[Thing] = []

    def look(self, things: Sequence[Thing], alive: Sequence[Thing]) -> Sights:
        self.alive = list(alive)
        return Sights(things=dict.fromkeys(things, self._sight), **{"complete": True} | self._more)  # type: ignore[arg-type]


@pytest.fixture
def case(world, tmp_path):
    job = AppliedJob(world, tmp_path, Time())
    world.run("r1")
    world.run("control")
    gone, kept = world.log("net", {"a": b"1"}), world.log("data", {"b": b"2"})
    job.add("r1", logs={"net:v0": gone}, keeps={"data:v0": kept})
    return job.open()


@pytest.mark.parametrize(
    ("sight", "more", "verdict"),
    [
        (Sight(seen="absent"), {}, "absent"),
        (Sight(seen="absent"), {"complete": False}, "partial"),
        (Sight(seen="not_looked_at"), {}, "partial"),
        (Sight(seen="stored", where="runs"), {}, "present"),
        (Sight(seen="absent"), {"found": 1}, "present"),
    ],
)
def test_the_verdict_is_absent_only_if_nothing_is_there_and_nothing_was_left_out(
    case, world, sight, more, verdict
):
    probe = FakeProbe(sight, **more)

    made = verify_storage(case, world.client.session, probe, now=Time())

    assert (made.kind, made.probe, made.verdict) == ("storage", "fake", verdict)
    assert made.counts["subjects"] == 2
    assert [thing.key for thing in probe.alive if thing.kind == "run"] == ["control"]
    assert [thing.kind for thing in probe.alive] == ["run", "artifact"]
    stored = case.ledger.verifications(case.job)[-1]
    assert msgspec.json.decode(stored.results, type=Verification) == made


def test_what_is_stored_is_named_by_subject_and_number(case, world):
    made = verify_storage(case, world.client.session, FakeProbe(Sight(seen="stored")), now=Time())

    assert [(finding.kind, finding.state, finding.run) for finding in made.findings] == [
        ("run", "stored", 0),
        ("artifact", "stored", 0),
    ]


def test_files_of_a_hidden_run_that_lie_in_a_folder_are_found(case, world, tmp_path: Path):
    for run in ("r1", "control"):
        (tmp_path / "bucket" / world.project / run).mkdir(parents=True)
        (tmp_path / "bucket" / world.project / run / "output.log").write_bytes(b"x")
    probe = FsspecProbe([f"file://{tmp_path}/bucket/{{project}}/{{run_id}}"])

    made = verify_storage(case, world.client.session, probe, now=Time())

    assert made.verdict == "present"
    assert (made.counts["stored"], made.counts["not_looked_at"]) == (1, 1)
