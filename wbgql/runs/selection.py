"""A lazy selection of runs that the server filters, orders and projects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Self

from wbgql.cautions import warn
from wbgql.errors import FilterWarning, NotFound, PermissionDenied, RequestError, UnknownKeyWarning
from wbgql.expressions import Field, FieldPath, Order, fields_of, matches
from wbgql.paths import ProjectPath
from wbgql.run_frames import RunFrames
from wbgql.run_groups import RunGroups
from wbgql.runs.coverage import Coverage, Tally
from wbgql.runs.explaining import Explanation, explain, find_types
from wbgql.runs.keys import mismatches, unknown_keys
from wbgql.runs.nodes import LIST_RUNS, MAX_PAGE_SIZE, RunNode, RunPage
from wbgql.runs.ordering import first_in_order, lacks_order
from wbgql.runs.projections import Projection
from wbgql.runs.questions import OnUnstable, OrderLike, Question, Select, Where, make_question
from wbgql.runs.reading import PageReader
from wbgql.runs.run import Run
from wbgql.runs.scanning import scan_by_creation, scan_by_offset
from wbgql.runs.scopes import ProjectScope, Scope
from wbgql.runs.verifying import matching_runs, with_evidence
from wbgql.session import Session

# So many projects are looked through for the keys of a question that found nothing.
_PROJECTS_LOOKED_AT = 10


class RunSelection(RunFrames, RunGroups[Run]):
    """Runs of one project or several that match, lazily. Every use asks the server anew.

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
        """At most so many runs are given."""
        return self.question.limit

    @property
    def order(self) -> Order | None:
        """What was asked to sort by."""
        return self.question.order

    @property
    def coverage(self) -> Coverage:
        """What the latest iteration or count has read so far, and what it could not see."""
        return self._tally.coverage()

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
        other = copy(self)
        other.question = self.question.selecting(fields)
        other._tally = Tally()
        return other

    def verified(self, on_other: Callable[[Run], object] | None = None) -> Iterator[Run]:
        """Yield the runs that match here too: each is held to the same filter on this side.

        For lists that feed a deletion. What the filter looks at travels along (whole config and summary
        for a raw filter). Runs that the server gave and that do not match are left out, with a
        FilterWarning at the end; `on_other`, if given, is told of each instead.

        Raises: as iterating; FilterError where a raw filter cannot be evaluated here.
        """
        question = with_evidence(self.question)
        return matching_runs(question, self._pages(question), on_other)

    def first(self) -> Run | None:
        """Return the first run, or None. One request for one run, from each project."""
        return next(self._iter(replace(self.question, limit=1, stable=False)), None)

    def ids(self) -> list[str]:
        """Return the ids of all runs that match (and fall under the limit), in order."""
        return [run.id for run in self]

    def count(self) -> int:
        """Return how many runs match, whatever the limit. One request for each project.

        Where the client has to decide, all runs that the server matches are read for it.

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
                found = reader.count()
            except (NotFound, PermissionDenied) as error:
                self._missed(reader, error, tally)
                continue
            tally.add(reader.path, found)
            tally.finish(reader.path)
            total += found
        self._require_something(tally)
        if total == 0:
            self._warn_of_unknown_keys(tally)
        return total

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

    def unknown_keys(self, known: Iterable[str]) -> dict[str, list[str]]:
        """Keys this selection names that are not among `known` paths, each with its nearest names.

        `known` are paths as `projects.find_fields` gives them (`summary_metrics.val/acc`).
        """
        return unknown_keys(self.question.paths, known)

    def _iter(self, question: Question) -> Iterator[Run]:
        for page in self._pages(question):
            for node in page:
                yield Run(node, page.project, question.shown)
            del page

    def _pages(self, question: Question) -> Iterator[RunPage]:
        tally = self._tally = Tally()
        left = question.limit
        if left == 0:
            return
        if question.order is not None and question.order.path.section != "run":
            # A server ignores an order by a key that no run has (wandb/wandb#8924): its values are looked at.
            question = question.with_order_sent()
        if self.scope.single is None and question.order is not None and left is not None:
            pages = first_in_order(
                self._read(question.with_order_sent(), tally, each=left), question.order, left
            )
        else:
            pages = self._read(question, tally, each=None)
        for page in pages:
            taken = page if left is None else RunPage(page.project, page[:left])
            order = question.order
            if order is not None and not tally.coverage().runs and lacks_order(page, order):
                self._warn_of_unknown_keys(tally, [order.path])
            tally.add(page.project, len(taken))
            left = None if left is None else left - len(taken)
            yield taken
            del page, taken
            if left == 0:
                return
        self._require_something(tally)
        if not tally.coverage().runs:
            self._warn_of_unknown_keys(tally)

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

    def warn_of_absent(self, fields: Iterable[Field]) -> None:
        """Warn of fields that no run which was read last had, with the nearest names; one request."""
        self._warn_of_unknown_keys(self._tally, [field.path for field in fields])

    def _warn_of_unknown_keys(self, tally: Tally, paths: Sequence[FieldPath] | None = None) -> None:
        asked = self.question.paths if paths is None else paths
        if all(path.section == "run" for path in asked):
            return
        read = [project.project for project in tally.coverage().projects]
        if not 0 < len(read) <= _PROJECTS_LOOKED_AT:
            return
        types = find_types(self._session, read)
        if types is None:
            return
        for message in mismatches(self.question.where, types):
            warn(FilterWarning(message))
        for key, near in unknown_keys(asked, types).items():
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            message = f"no run of {str(self.scope)!r} has {key}{hint}"
            warn(UnknownKeyWarning(message, near))


def _scan(reader: PageReader, limit: int | None) -> Iterator[list[RunNode]]:
    """Yield the runs of one project that match, at most `limit`, as the question wants them read."""
    question = reader.question
    if question.rest is None:
        pages = scan_by_creation(reader) if question.stable else scan_by_offset(reader, limit)
    else:
        pages = scan_by_creation(reader) if question.stable else scan_by_offset(reader, None)
    left = limit
    for page in pages:
        nodes = page if question.rest is None else _matching(page, question, reader.path)
        found = len(nodes)
        yield nodes if left is None else nodes[:left]
        del page, nodes
        if left is not None:
            left -= found
            if left <= 0:
                return


def _matching(nodes: list[RunNode], question: Question, path: ProjectPath) -> list[RunNode]:
    assert question.rest is not None  # called only where the client decides
    needed = Projection.of(fields_of(question.rest))
    return [
        node
        for node in nodes
        if matches(question.rest, Run(node, path, needed).to_document(), now=question.now)
    ]
