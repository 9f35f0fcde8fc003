"""A lazy selection of runs that the server filters, orders and projects."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from heapq import nsmallest
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, Self, overload

from wbgql.cautions import warn
from wbgql.errors import (
    FilterError,
    FilterWarning,
    IgnoredWarning,
    NotFound,
    NotRead,
    PermissionDenied,
    RequestError,
)
from wbgql.expressions import Field, FieldPath, Order, fields_of, matches
from wbgql.lazy import Lazy, LazyList, described
from wbgql.paths import ProjectPath, RunPath
from wbgql.runs.explaining import Explanation, explain
from wbgql.runs.frames import RunFrames
from wbgql.runs.ignored import matching_runs, with_evidence
from wbgql.runs.key_lists import PROJECTS_LOOKED_AT, look_up_keys, runs_of
from wbgql.runs.keys import key_warnings, mismatches
from wbgql.runs.nodes import DEFAULT_ORDER, LIST_RUNS, MAX_PAGE_SIZE, RunNode, RunPage
from wbgql.runs.projections import Projection
from wbgql.runs.questions import OnUnstable, OrderLike, Question, Select, Where, make_question
from wbgql.runs.reading import PageReader
from wbgql.runs.run import Run
from wbgql.runs.run_groups import RunGroups
from wbgql.runs.scanning import scan_by_creation, scan_by_offset
from wbgql.runs.scopes import Coverage, ProjectScope, Scope, Tally
from wbgql.wire.session import Session

# The first runs over several projects: each project's own first ones, put together here.


def first_in_order(pages: Iterable[RunPage], order: Order, limit: int | None) -> Iterator[RunPage]:
    """Yield the `limit` runs that come first over all pages, by default all. Keeps no more than that many.

    Numbers come before text, and runs without a value last, whichever way it goes. Where two are
    equal, the project that was read first comes first.
    """
    projection = Projection.of([order.path])
    field = Field(order.path)

    def rank(item: tuple[ProjectPath, RunNode]) -> tuple[int, Any]:
        return _rank(Run(item[1], item[0], projection)[field], order.descending)

    nodes = chain.from_iterable(((page.project, node) for node in page) for page in pages)
    first = sorted(nodes, key=rank) if limit is None else nsmallest(limit, nodes, key=rank)
    for project, found in groupby(first, key=itemgetter(0)):
        yield RunPage(project, (node for _, node in found))


def lacks_order(page: RunPage, order: Order) -> bool:
    """Has no run of the page a value at the config or summary key it should be ordered by?"""
    if order.path.section == "run" or not page:
        return False
    projection, field = Projection.of([order.path]), Field(order.path)
    return all(isinstance(Run(node, page.project, projection)[field], dict | None) for node in page)


def text_among_numbers(page: RunPage, order: Order) -> str | None:
    """Say what a server that stores NaN and infinities as text puts in the wrong place on a page, or None.

    In descending order text comes before all numbers: NaN first, and -Infinity above every number.
    """
    if order.path.section == "run" or order.path.dotted is not None:
        return None
    projection, field = Projection.of([order.path]), Field(order.path)
    values = [Run(node, page.project, projection)[field] for node in page]
    numbers = [value for value in values if isinstance(value, float)]
    found = [
        condition
        for condition, is_there in (
            (f"not {order.path}.is_nan()", order.descending and any(map(math.isnan, numbers))),
            (f'{order.path} != "-Infinity"', -math.inf in numbers),
        )
        if is_there
    ]
    if not found:
        return None
    return (
        f"{order}: servers store NaN and infinities as text, which comes"
        f" {'before' if order.descending else 'after'} every number; to leave such runs out, add"
        f" {' and '.join(map(repr, found))} to the filter"
    )


def _rank(value: Any, descending: bool) -> tuple[int, Any]:
    if isinstance(value, datetime):
        value = value.timestamp()
    if isinstance(value, (int, float)) and value == value:  # noqa: PLR0124  # NaN has no place in an order
        return 0, -value if descending else value
    if isinstance(value, str):
        return 1, (*(-ord(char) for char in value), 1) if descending else value
    return 2, 0


class RunSelection(Lazy, RunFrames, RunGroups[Run]):
    """Runs of one project or several that match, lazily. Every use asks the server again.

    Cost: nothing until used; iterating sends ceil(n / page_size) requests, `count` and `first` one for
    each project. Times such as `ago("7d")` in `where` are frozen when the selection is made.

    Several projects are read one after the other, in the order named (those of an entity as the server
    lists them), each in `order`; with a limit, the first ones over all of them are found. `coverage`
    says what was read and what could not be seen.

    `client_side` lets the client decide what the server cannot: it then reads every run that matches the
    rest. `stable` reads by creation time and makes sure of the population, at one request or two more;
    where that fails, UnstablePopulation is raised, or a warning given with `on_unstable="warn"`.
    """

    def __init__(
        self,
        session: Session,
        path: ProjectScope | Iterable[ProjectScope],
        *,
        where: Where = None,
        order: OrderLike = None,
        select: Select = (),
        limit: int | None = None,
        filters: Mapping[str, Any] | None = None,
        page_size: int = MAX_PAGE_SIZE,
        client_side: bool = False,
        stable: bool = False,
        on_unstable: OnUnstable = "raise",
        now: datetime | None = None,
    ) -> None:
        self._session = session
        self.scope = Scope.of(path)
        if self.scope.single is not None:
            self.path = self.scope.single
        self.question = make_question(
            where=where,
            order=order,
            select=select,
            limit=limit,
            filters=filters,
            page_size=page_size,
            client_side=client_side,
            stable=stable,
            on_unstable=on_unstable,
            now=now or datetime.now(UTC),
        )
        self._tally: Tally = Tally()

    @property
    def select(self) -> Select:
        """The fields to bring, or "*"."""
        return self.question.select

    @property
    def filters(self) -> dict[str, Any]:
        """The filter that the server is sent."""
        return self.question.filters

    @property
    def limit(self) -> int | None:
        """The largest number of runs that are given, None for no limit."""
        return self.question.limit

    @property
    def order(self) -> Order | None:
        """What was asked to sort by."""
        return self.question.order

    @property
    def coverage(self) -> Coverage:
        """What the latest iteration or count has read so far, and what it could not see."""
        return self._tally.coverage()

    _COUNT = "`count()` asks the server, `len(list(...))` reads the runs"
    _ANY = "`first()` gives the first run or None, `count()` how many there are"
    _PLACE = "`[n]` gives the run at place n, `[:n]` the same selection with that limit, `list(...)` all runs"

    def __repr__(self) -> str:
        question = self.question
        return described(
            type(self).__name__,
            self.scope,
            where=None if question.where is None else str(question.where),
            filters=question.filters if question.where is None else None,
            order=DEFAULT_ORDER if question.order is None else str(question.order),
            select=question.select if question.select == "*" else tuple(map(str, question.select)),
            limit=question.limit,
            stable=question.stable or None,
        )

    @overload
    def __getitem__(self, place: int) -> Run: ...

    @overload
    def __getitem__(self, place: slice) -> Self: ...

    def __getitem__(self, place: int | slice) -> Run | Self:
        """Return the run at a place in the order, or with `[:n]` the same selection with that limit.

        A place costs one request for the runs up to it, each time; a slice sends nothing.

        Raises:
            NotRead: a negative place, or a slice with a start or a step.
            IndexError: not as many runs match.
        """
        stop = place.stop if isinstance(place, slice) else place + 1
        limit = self.limit if stop is None else stop if self.limit is None else min(stop, self.limit)
        if isinstance(place, slice):
            if place.start in (None, 0) and place.step in (None, 1) and (limit is None or limit >= 0):
                return self._asking(replace(self.question, limit=limit))
        elif place >= 0:
            runs = list(self._iter(replace(self.question, limit=limit, stable=False)))
            if len(runs) <= place:
                raise IndexError(f"{self!r} has no place {place}: it gave {len(runs)} runs")
            return runs[place]
        raise NotRead(f"{self!r} has no place {place!r} before it is read: {self._PLACE}")

    def __contains__(self, run: object) -> bool:
        raise NotRead(f"{self!r} cannot say what is in it before it is read: look among `paths()` or `ids()`")

    def __iter__(self) -> Iterator[Run]:
        """Yield the runs, page by page, each once.

        Raises:
            NotFound: none of the projects named is there and visible, or the one of them vanished.
            FilterError: the server fails on the filter and answers without it.
            ResponseError: a page was not whole.
            UnstablePopulation: with `stable`, the runs moved while they were read.
        """
        return self._iter(self.question)

    def iter_pages(self) -> Iterator[RunPage]:
        """Yield the runs as they travel, page by page: what iterating, frames and exports are made of.

        Each run comes once, within the limit, and matches what the client had to decide. `page.project`
        is where its runs are; pages may be shorter than `page_size`, none is empty.
        """
        return self._pages(self.question)

    def iter_bare_pages(self) -> Iterator[RunPage]:
        """Yield pages as `iter_pages` does, without the attributes that were not selected by name."""
        return self._pages(replace(self.question, bare=True))

    def project_paths(self) -> list[ProjectPath]:
        """Return the projects named; a pattern costs one request for 200 projects of its entity."""
        return list(self.scope.projects(self._session, Tally()))

    def selecting(self, *fields: Field | str) -> Self:
        """Return the same selection, bringing these fields too. Sends nothing."""
        return self._asking(self.question.selecting(fields))

    def _asking(self, question: Question) -> Self:
        other = copy(self)
        other.question = question
        other._tally = Tally()
        return other

    def verified(self, on_other: Callable[[Run], object] | None = None) -> LazyList[Run]:
        """Yield the runs that match here too: each is checked against the same filter on this side.

        For lists that feed a deletion. What the filter looks at travels along (whole config and summary
        for a raw filter). Runs that the server gave and that do not match are left out, with a
        FilterWarning at the end; `on_other`, if given, is called with each instead.

        Raises: as iterating; FilterError where a raw filter cannot be evaluated here.
        """
        question = with_evidence(self.question)
        runs = matching_runs(question, self._pages(question), on_other)
        return LazyList(f"{self!r}.verified()", runs)

    def first(self) -> Run | None:
        """Return the first run, or None. One request for one run, from each project."""
        return next(self._iter(replace(self.question, limit=1, stable=False)), None)

    def ids(self) -> list[str]:
        """Return the ids of all runs that match, within the limit, in order.

        An id says nothing of its project. For a call that changes or deletes runs, take `paths`.
        """
        return [run.id for run in self]

    def paths(self) -> list[RunPath]:
        """Return the paths of all runs that match, within the limit, in order. Costs what iterating costs."""
        return [run.path for run in self]

    def count(self) -> int:
        """Return how many runs match, whatever the limit. One request for each project.

        The runs that do not match are counted too: if both counts do not add up to all runs, the server
        ignores the filter or reads a part of it in another way. The runs are then read and counted here,
        and an `IgnoredWarning` says so. A raw filter has no such other half: up to 1000 runs are read with
        what decides; for more, an `IgnoredWarning` says that the count is unchecked. Where the client has
        to decide, all runs that the server matches are read for it.

        Raises:
            NotFound: none of the projects named is there and visible.
        """
        if self.question.rest is not None:
            shown = replace(self.question, limit=None, select=())
            return sum(map(len, self._pages(shown)))
        tally = self._tally = Tally()
        total = 0
        for reader in self._readers(self.question, tally):
            try:
                found = self._count(reader)
            except (NotFound, PermissionDenied) as error:
                self._missed(reader, error, tally)
                continue
            tally.add(reader.path, found)
            tally.finish(reader.path)
            total += found
        self._require_something(tally)
        if total == 0:
            self._warn_of_unknown_keys(self.read_projects, self.question.paths)
        return total

    def _count(self, reader: PageReader) -> int:
        """Count the runs of one project, and check the count as far as it can be."""
        question = self.question
        others = question.others
        if others is not None:
            counts = reader.compare_counts(others)
            if counts.run_count + counts.others == counts.all:
                return counts.run_count
            found = counts.run_count
        else:
            found = reader.count()
            if not question.filters or not found:
                return found
            if found > MAX_PAGE_SIZE:
                warn(
                    IgnoredWarning(
                        f"{str(reader.path)!r}: the count {found} is unchecked: whether the server reads this"
                        " filter as it was meant cannot be seen from a count"
                    )
                )
                return found
        here = RunSelection(self._session, reader.path, now=question.now)
        asked = with_evidence(replace(question, limit=None, order=None, select=(), stable=False))
        skipped: list[Run] = []
        try:
            counted = sum(1 for _ in matching_runs(asked, here._pages(asked), skipped.append))
        except FilterError:
            warn(IgnoredWarning(f"{str(reader.path)!r}: the count {found} is unchecked: {question.filters}"))
            return found
        if counted != found:
            warn(
                IgnoredWarning(
                    f"{str(reader.path)!r}: the server counts {found} runs, and {counted} match here: it"
                    " ignores the filter, or reads a part of it in another way; here stands the second number"
                )
            )
        return counted

    def explain(self) -> Explanation:
        """Say what would be sent and what it would cost, before anything heavy is.

        Sends one count for each project, the project's typed keys, and one page of up to 20 runs.

        Raises:
            NotFound: none of the projects named is there and visible.
        """
        tally = self._tally = Tally()
        found = explain(self._session, self.scope, self.question, tally)
        self._require_something(tally)
        return found

    def _iter(self, question: Question) -> Iterator[Run]:
        absent = [field for field in question.select if isinstance(field, Field) and _is_key(field)]
        for page in self._pages(question):
            for node in page:
                run = Run(node, page.project, question.shown)
                yield run
                absent = [field for field in absent if run[field] is None] if absent else absent
            del page
        if absent and self._tally.coverage().runs:
            self.warn_of_absent(absent)

    def _pages(self, question: Question) -> Iterator[RunPage]:
        tally = self._tally = Tally()
        left = question.limit
        if left == 0:
            return
        if question.order is not None and question.order.path.section != "run":
            # A server ignores an order by a key that no run has (wandb/wandb#8924): its values are looked at.
            question = question.with_order_sent()
        if question.order is not None and question.sorts_here:
            everything = replace(question, limit=None)
            pages = first_in_order(self._read(everything, tally, each=None), question.order, left)
        elif self.scope.single is None and question.order is not None and left is not None:
            pages = first_in_order(
                self._read(question.with_order_sent(), tally, each=left), question.order, left
            )
        else:
            pages = self._read(question, tally, each=None)
        told = self.scope.single is None and left is not None  # sorted here, where NaN comes last
        for page in pages:
            taken = page if left is None else RunPage(page.project, page[:left])
            order = question.order
            if order is not None and not tally.coverage().runs and lacks_order(page, order):
                self._warn_of_unknown_keys([page.project], [order.path], [order.path])
            if order is not None and not told and (message := text_among_numbers(page, order)):
                told = True
                warn(FilterWarning(message))
            tally.add(page.project, len(taken))
            left = None if left is None else left - len(taken)
            yield taken
            del page, taken
            if left == 0:
                return
        self._require_something(tally)
        if not tally.coverage().runs:
            self._warn_of_unknown_keys(self.read_projects, self.question.paths)

    def _read(self, question: Question, tally: Tally, *, each: int | None) -> Iterator[RunPage]:
        """Yield the pages of every project, `each` runs at most from each of them."""
        limit = question.limit if each is None else each
        for reader in self._readers(question, tally):
            try:
                given = 0
                for nodes in _scan(reader, limit):
                    tally.begin(reader.path)
                    given += len(nodes)
                    if nodes:
                        yield RunPage(reader.path, nodes)
                    del nodes
                tally.begin(reader.path)
                if limit is None or given < limit:
                    tally.finish(reader.path)
            except (NotFound, PermissionDenied) as error:
                self._missed(reader, error, tally)

    def _readers(self, question: Question, tally: Tally) -> Iterator[PageReader]:
        for path in self.scope.projects(self._session, tally):
            yield PageReader(self._session, path, question)

    def _missed(self, reader: PageReader, error: RequestError, tally: Tally) -> None:
        """Note a project that is not there or vanished; where it is the only one, that is an error."""
        if self.scope.single is not None:
            raise error
        tally.miss(reader.path, str(error))

    def _require_something(self, tally: Tally) -> None:
        found = tally.coverage()
        if found.unread and not found.projects:
            reasons = "; ".join(missing.reason for missing in found.unread)
            raise NotFound(
                f"nothing of {str(self.scope)!r} could be read: {reasons}", operation=LIST_RUNS.name
            )

    def count_matching(self, filters: dict[str, Any]) -> int:
        """Count the runs of all projects for which a filter holds. One request for each project."""
        total = 0
        for path in self.project_paths():
            with suppress(NotFound, PermissionDenied):
                total += PageReader(self._session, path, self.question).count(filters)
        return total

    @property
    def read_projects(self) -> list[ProjectPath]:
        """The projects that the latest use has read so far."""
        return [project.project for project in self._tally.coverage().projects]

    def warn_of_absent(
        self,
        fields: Iterable[Field],
        *,
        measured: Iterable[Field] = (),
        projects: Sequence[ProjectPath] | None = None,
    ) -> None:
        """Warn of fields that no run of the projects has, by default of those read last, with near names.

        `measured`: those that were to be compared or counted, for which an object is no value. One request
        for each project, more where it has more than 1000 keys.
        """
        valued = [field.path for field in measured]
        asked = [*(field.path for field in fields), *valued]
        self._warn_of_unknown_keys(self.read_projects if projects is None else projects, asked, valued)

    def _warn_of_unknown_keys(
        self, projects: Sequence[ProjectPath], asked: Sequence[FieldPath], valued: Sequence[FieldPath] = ()
    ) -> None:
        looked_at = projects[:PROJECTS_LOOKED_AT]
        if not looked_at or all(path.section == "run" for path in asked):
            return
        known = look_up_keys(self._session, looked_at, asked)
        if known is None:
            return
        for message in mismatches(self.question.where, known.types):
            warn(FilterWarning(message))
        objects = self.question.may_be_objects.difference(valued)
        whose = runs_of(self.scope, looked_at, projects)
        for warning in key_warnings(
            asked, known, whose=whose, objects=objects, writer_of=self.question.writer_of
        ):
            warn(warning)


def _is_key(field: Field) -> bool:
    return field.path.section != "run"


def _scan(reader: PageReader, limit: int | None) -> Iterator[list[RunNode]]:
    """Yield the runs of one project that match, at most `limit`, as the question wants them read."""
    question = reader.question
    if question.stable:
        pages = scan_by_creation(reader)
    elif question.rest is None:
        pages = _scan_and_make_up(reader, limit)
    else:
        pages = scan_by_offset(reader, None)
    left = limit
    for page in pages:
        nodes = page
        if reader.unwanted:
            nodes = [node for node in page if node.id not in reader.unwanted]
        if question.rest is not None:
            nodes = _matching(nodes, question, reader.path)
        found = len(nodes)
        yield nodes if left is None else nodes[:left]
        del page, nodes
        if left is not None:
            left -= found
            if left <= 0:
                return


def _scan_and_make_up(reader: PageReader, limit: int | None) -> Iterator[list[RunNode]]:
    """Yield pages of at most `limit` runs, and more only if some of those were unwanted."""
    seen: set[str] = set()
    for page in scan_by_offset(reader, limit):
        if limit is not None:
            seen.update(node.id for node in page)
        yield page
        del page
    if limit is not None and reader.unwanted:
        for page in scan_by_offset(reader, None):
            yield [node for node in page if node.id not in seen]


def _matching(nodes: list[RunNode], question: Question, path: ProjectPath) -> list[RunNode]:
    assert question.rest is not None  # called only where the client decides
    needed = Projection.of(fields_of(question.rest))
    return [
        node
        for node in nodes
        if matches(question.rest, Run(node, path, needed).to_document(), now=question.now)
    ]
