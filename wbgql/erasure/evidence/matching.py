"""Compares the ledger's rows with the approved plan, and with the job's own journal. No I/O.

A row says what a job acts on, and others may write to the database that holds it. A row is acted on only if
it says exactly what the plan says, and if the journal tells the same of what became of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from wbgql.erasure.records.actions import GONE, Action, NewAction, make_actions, without_parts
from wbgql.erasure.records.journal import Entry, Head, find_break
from wbgql.erasure.records.plan import Plan
from wbgql.errors import PlanChanged, StoreError

Place = tuple[int, int]
"""`run_no` and `action_no`: where an action stands in the plan."""


class ApprovedActions:
    """The actions of a plan, to compare rows of the ledger with."""

    def __init__(self, plan: Plan) -> None:
        self._runs = [without_parts(run) for run in plan.runs]
        self.by_place: dict[Place, NewAction] = {
            (action.run_no, action.action_no): action for action in make_actions(plan)
        }

    def check(self, action: Action) -> NewAction:
        """Return the action as the plan gives it.

        Raises:
            PlanChanged: the row names another target, another kind or another run than the plan.
        """
        planned = self.by_place.get((action.run_no, action.action_no))
        if (
            planned is None
            or planned.kind != action.kind
            or planned.target != action.target
            or self._runs[action.run_no] != action.run
        ):
            raise PlanChanged(
                f"{_row(action)} is not what the approved plan says: somebody changed the ledger; nothing "
                "was done"
            )
        return planned

    def checked(self, actions: Iterable[Action]) -> Iterator[Action]:
        """Yield actions as they come, each compared with the plan.

        Raises:
            PlanChanged: as `check`.
        """
        for action in actions:
            self.check(action)
            yield action

    def check_round(self, actions: Iterable[Action], *, first: bool) -> None:
        """Check the rows of a round, in their order. The first round has all actions of the plan.

        Raises:
            PlanChanged: a row is not what the plan says, is doubled, missing, or in another place.
        """
        last, count = -1, 0
        for action in actions:
            number = self.check(action).number
            if number <= last or action.number != count or (first and number != count):
                raise PlanChanged(
                    f"{_row(action)} does not stand where the approved plan puts it: somebody changed the "
                    "ledger; nothing was sent"
                )
            last, count = number, count + 1
        if first and count != len(self.by_place):
            raise PlanChanged(
                "the ledger lacks rows that the approved plan has: somebody changed it; nothing was sent"
            )


def check_journal(
    rows: Iterable[Action],
    entries: Sequence[Entry],
    head: Head,
    round_: int,
    subjects: Mapping[Place, str],
) -> None:
    """Check that the last row of each action says what the journal tells: attempts, outcome, tags.

    `subjects`: what the journal calls each action.

    Raises:
        StoreError: the journal is not whole, or row and journal disagree.
    """
    broken = find_break(entries, head)
    if broken is not None:
        raise StoreError(f"entry {broken.seq} of the job's journal: {broken.reason}; nothing was sent")
    told = _Told(subjects)
    for entry in entries:
        told.follow(entry)
    if round_ != told.round:
        raise StoreError(
            f"the ledger is in round {round_}, but its journal tells of {told.round}; nothing was sent"
        )
    for row in rows:
        place = row.run_no, row.action_no
        # Only a row of a run has tags of its own; those of parts have their run's.
        seal = row.run_tags.seal if row.kind == "run" and row.run_tags is not None else None
        if (row.attempts, row.outcome, seal) != (
            told.attempts[place],
            told.outcomes[place],
            told.seals[place],
        ):
            raise StoreError(
                f"{_row(row)} is not as the journal tells it: somebody changed the ledger, or it was "
                "restored in part; nothing was sent"
            )


class _Told:
    """What a journal tells of each action in the last round that names it."""

    def __init__(self, subjects: Mapping[Place, str]) -> None:
        self._places: dict[object, Place] = {subject: place for place, subject in subjects.items()}
        self.round = 1
        self.attempts = dict.fromkeys(subjects, 0)
        self.outcomes: dict[Place, str | None] = dict.fromkeys(subjects)
        self.seals: dict[Place, str | None] = dict.fromkeys(subjects)

    def follow(self, entry: Entry) -> None:
        """Take in one entry."""
        if entry.kind == "intent":
            place = self._place(entry, entry.body.get("subject"))
            self.attempts[place] = entry.body.get("attempt", 0)
            self.seals[place] = entry.body.get("tags", self.seals[place])
        elif entry.kind == "outcome":
            self.outcomes[self._place(entry, entry.body.get("subject"))] = entry.body.get("outcome")
        elif entry.kind == "retried":
            self._open(place for place, outcome in self.outcomes.items() if outcome not in GONE)
        elif entry.kind == "reopened":
            back = {self._place(entry, subject)[0] for subject in entry.body.get("subjects", ())}
            self._open(
                place
                for place, outcome in self.outcomes.items()
                if place[0] in back and (place[1] == 0 or outcome not in GONE)
            )
            for run_no in back:
                self.seals[run_no, 0] = None  # it may have been tagged since

    def _place(self, entry: Entry, subject: object) -> Place:
        if subject not in self._places:
            raise StoreError(
                f"entry {entry.seq} of the job's journal is about something that the plan does not have; "
                "nothing was sent"
            )
        return self._places[subject]

    def _open(self, places: Iterable[Place]) -> None:
        self.round += 1
        for place in list(places):
            self.attempts[place], self.outcomes[place] = 0, None


def _row(action: Action) -> str:
    return f"the ledger's row for action no. {action.action_no + 1} of run no. {action.run_no + 1}"
