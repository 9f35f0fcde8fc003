"""One page of a project's runs: asked for as the server can answer it, and looked at before it is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

from wbgql.cautions import warn
from wbgql.errors import (
    CoverageWarning,
    FilterError,
    IgnoredWarning,
    NotFound,
    ProjectionWarning,
    RequestError,
    ResponseError,
    ResultError,
    ServerUnavailable,
)
from wbgql.expressions import compile_order
from wbgql.paths import ProjectPath
from wbgql.runs.ignored import Evidence
from wbgql.runs.nodes import COMPARE_COUNTS, COUNT_RUNS, LIST_RUNS, RunCounts, RunNode, real_path
from wbgql.runs.projections import DETAILS, Projection, unasked_keys
from wbgql.runs.questions import Question
from wbgql.scalars import dump_json
from wbgql.wire.connection import MIN_PAGE_SIZE, Connection, may_be_too_large
from wbgql.wire.session import Session

# What a server can do with a list of runs, found out once and kept as long as its session.

_KEYS = frozenset({"Run.config(keys:)", "Run.summaryMetrics(keys:)"})


@dataclass(slots=True)
class Capabilities:
    """`missing`: what the schema was found to lack, as the session has it. `asked`: keys were asked for.

    `ignores_keys`: the schema has `keys`, and the server sends other keys all the same. `orders`: by what
    the server was seen to sort, as far as it had to be asked.
    """

    missing: set[str] = field(default_factory=set)
    asked: bool = False
    ignores_keys: bool = False
    orders: set[str] = field(default_factory=set)

    @property
    def projects(self) -> bool:
        """Whether keys may be asked for: yes, until the server has refused."""
        return not self.missing & _KEYS

    def __str__(self) -> str:
        if not self.projects:
            return "the client, since this server has no `keys` argument: config and summary travel whole"
        if self.ignores_keys:
            return "the client, since this server ignores `keys`: config and summary travel whole"
        return "the server" if self.asked else "the server, if it knows `keys` (not tried yet)"


_found: WeakKeyDictionary[Session, Capabilities] = WeakKeyDictionary()


def capabilities_of(session: Session) -> Capabilities:
    """Return what is known of the server behind `session`; shared by all its selections."""
    return _found.setdefault(session, Capabilities(session.missing))


# How many runs of a page are looked at for keys that nobody asked for.
_LOOKED_AT = 3


class PageReader:
    """Reads pages and counts of one project for one question. `read`: runs that came so far.

    `hidden`: rows of a page that came as null, without an error: runs this key may not see. `unwanted`: ids
    of runs that came and that the filter does not ask for.
    """

    def __init__(self, session: Session, path: ProjectPath, question: Question) -> None:
        self.session = session
        self.path = path
        self.question = question
        self.capabilities = capabilities_of(session)
        self.read = 0
        self.hidden = 0
        self.unwanted: set[str] = set()
        self._evidence = Evidence(question)
        self._told = False
        self._told_lacking = False

    def fetch(
        self, first: int, after: str | None, *, filters: dict[str, Any] | None = None, total: bool = False
    ) -> Connection[RunNode]:
        """Ask for a page and accept it. One request.

        Raises:
            NotFound: the project is missing, not visible, or vanished since the page before.
            FilterError: the server fails on the filter and answers without it.
            ResponseError: the page is not whole; `.data` holds what came.
        """
        return self.accept(self.ask(first, after, filters=filters, total=total))

    def ask(
        self, first: int, after: str | None, *, filters: dict[str, Any] | None = None, total: bool = False
    ) -> Connection[RunNode]:
        """Ask for a page. Changes nothing here, so that threads may share it."""
        filters = self.question.filters if filters is None else filters
        try:
            return self._page(first, after, filters, total)
        except RequestError as error:
            may_shrink = (
                isinstance(error, ServerUnavailable) and may_be_too_large(error) and first > MIN_PAGE_SIZE
            )
            if not (after or self.read or may_shrink):
                self._blame_the_filter(error, filters, self._ask_plainly)
            self._refuse_half_a_page(error)
            raise

    def accept(self, page: Connection[RunNode]) -> Connection[RunNode]:
        """Look at a page that came: rows that are null, keys not asked for, arguments ignored."""
        nodes = page.nodes
        nulls = len(page.edges) - len(nodes)
        if nulls and not self.hidden:
            warn(
                f"{str(self.path)!r}: rows came as null, of runs that this key may not see",
                RuntimeWarning,
            )
        self.hidden += nulls
        self.read += len(nodes)
        self._notice_lacking_fields(nodes)
        self._notice_unasked_keys(nodes)
        self._notice_ignored(nodes)
        if len(nodes) == self.read and page.page_info.has_next_page:
            self._prove_order(nodes)
        return page

    def count(self, filters: dict[str, Any] | None = None) -> int:
        """Ask how many runs match. One small request.

        Raises:
            NotFound: the project is missing or not visible.
            FilterError: the server fails on the filter and answers without it.
        """
        filters = self.question.filters if filters is None else filters
        named = {"entity": self.path.entity, "project": self.path.project}
        try:
            project = self.session.execute(COUNT_RUNS, **named, filters=dump_json(filters)).project
        except ServerUnavailable as error:
            self._blame_the_filter(error, filters, self._count_plainly)
            raise
        if project is None:
            raise self._not_found(COUNT_RUNS.name)
        return project.run_count

    def compare_counts(self, others: dict[str, Any]) -> RunCounts:
        """Ask how many runs match, how many match `others`, and how many there are. One request.

        Raises:
            NotFound: the project is missing or not visible.
            FilterError: the server fails on the filter and answers without it.
        """
        try:
            project = self.session.execute(
                COMPARE_COUNTS,
                entity=self.path.entity,
                project=self.path.project,
                filters=dump_json(self.question.filters),
                others=dump_json(others),
            ).project
        except ServerUnavailable as error:
            self._blame_the_filter(error, self.question.filters, self._count_plainly)
            raise
        if project is None:
            raise self._not_found(COMPARE_COUNTS.name)
        return project

    def _page(
        self,
        first: int,
        after: str | None,
        filters: dict[str, Any],
        total: bool,
        *,
        once: bool = False,
        order: str | None = None,
    ) -> Connection[RunNode]:
        execute = self.session.execute_once if once else self.session.execute
        project = execute(
            LIST_RUNS,
            entity=self.path.entity,
            project=self.path.project,
            filters=dump_json(filters),
            order=self.question.order_text if order is None else order,
            first=first,
            after=after,
            withTotal=total,
            **self.question.sent.variables(),
        ).project
        if project is None or project.runs is None:
            raise self._not_found(LIST_RUNS.name)
        self.capabilities.asked = self.capabilities.asked or self.question.sent.is_partial
        self.path = real_path(project, self.path)
        return project.runs

    def _count_plainly(self) -> object:
        """Ask once for the number of all runs."""
        return self.session.execute_once(
            COUNT_RUNS, entity=self.path.entity, project=self.path.project, filters="{}"
        )

    def _ask_plainly(self) -> Connection[RunNode]:
        """Ask once for a run, without the filter."""
        return self._page(1, None, {}, False, once=True)

    def _not_found(self, operation: str) -> NotFound:
        if not self.read:
            return NotFound.project(self.path, operation=operation)
        return NotFound(
            f"project {str(self.path)!r} vanished, or its visibility was taken away, after {self.read} of its"
            " runs were read",
            operation=operation,
        )

    def _refuse_half_a_page(self, error: RequestError) -> None:
        edges = _edges(error.data)
        if edges is None or isinstance(error, ResultError):
            return
        whole = sum(1 for edge in edges if isinstance(edge, dict) and edge.get("node") is not None)
        raise ResponseError(
            f"a page came half: {whole} of {len(edges)} runs are there, beside errors ({error}); before it,"
            f" {self.read} runs of {str(self.path)!r} were read; ask again, or with a smaller page_size",
            status=error.status,
            errors=error.errors,
            data=error.data,
        ) from error

    def _blame_the_filter(
        self, error: RequestError, filters: dict[str, Any], ask_without: Callable[[], object]
    ) -> None:
        """Raise `FilterError` if the server failed again and again with the filter, and answers without it.

        W&B answers some filters (a list compared with tags, $all) with a 500 that no repetition mends. One
        plain request tells the filter's fault from the server's. An error that came once is not blamed on it.

        Source: wandb/wandb#4068, #5967.
        """
        if not filters or error.status != 500 or error.attempts < 2:
            return
        try:
            ask_without()
        except RequestError:
            return
        raise FilterError(
            f"the server fails on this filter (HTTP 500, {error.attempts} times) and answers without it: "
            f"{dump_json(filters)}"
        ) from error

    def _notice_ignored(self, nodes: list[RunNode]) -> None:
        """Warn once where the runs show that the server ignores the filter or the order."""
        unwanted = self._evidence.unwanted(nodes, self.path)
        self.unwanted.update(node.id for node in unwanted)
        if self._told:
            return
        if unwanted:
            message = (
                f"{str(self.path)!r}: the server gives runs that the filter does not ask for (here"
                f" {unwanted[0].name!r}): it ignores the filter, or reads a part of it in another way;"
                " such runs are left out here"
            )
        elif self._evidence.is_out_of_order(nodes, self.path):
            message = (
                f"{str(self.path)!r}: the runs do not come in the order {self.question.order_text!r}: the"
                " server ignores it, or sorts in another way; with a limit they may not be the first ones"
            )
        else:
            return
        self._told = True
        warn(IgnoredWarning(message))

    def _prove_order(self, nodes: list[RunNode]) -> None:
        """Warn where the first runs of a limited list fit the order, and the server ignores it all the same.

        At most one small request for each key and session: the same list in the other direction begins with
        another run.
        """
        question, order = self.question, self.question.order
        if order is None or question.sorts_here or question.limit is None or self._told or not nodes:
            return
        key = str(order.path)
        if key in self.capabilities.orders:
            return
        if not self._evidence.shows_order(nodes, self.path):
            backwards = compile_order(replace(order, descending=not order.descending))
            try:
                page = self._page(2, None, question.filters, False, order=backwards)
            except RequestError as error:
                warn(
                    IgnoredWarning(
                        f"{str(self.path)!r}: the order {question.order_text!r} is unchecked: {error}"
                    )
                )
                return
            if self._evidence.is_first_both_ways(nodes, page.nodes, self.path):
                self._told = True
                warn(
                    IgnoredWarning(
                        f"{str(self.path)!r}: the server gives {nodes[0].name!r} first, asked to sort by"
                        f" {question.order_text!r} and by {backwards!r}: it ignores the order, so that with a"
                        " limit these may not be the first runs"
                    )
                )
                return
        self.capabilities.orders.add(key)

    def _notice_lacking_fields(self, nodes: list[RunNode]) -> None:
        """Warn once of selected attributes that the server's schema lacks: in a table they look like null."""
        if self._told_lacking or not nodes or not self.question.shown.details:
            return
        select = self.question.select
        asked = (
            set(DETAILS)
            if select == "*"
            else {one.path.parts[0] for one in select if one.path.section == "run"}
        )
        lacking = {name: at for name, at in DETAILS.items() if name in asked and at in self.session.missing}
        if lacking:
            self._told_lacking = True
            fields = ", no ".join(lacking.values())
            warn(
                CoverageWarning(
                    f"{', '.join(lacking)}: not known, because this server's schema has no {fields}"
                )
            )

    def _notice_unasked_keys(self, nodes: list[RunNode]) -> None:
        sent = self.question.sent
        if self.capabilities.ignores_keys or not self.capabilities.projects or not sent.is_partial:
            return
        for node in nodes[:_LOOKED_AT]:
            extra = _unasked(node, sent)
            if extra:
                self.capabilities.ignores_keys = True
                message = f"the server ignores `keys` and sends others too (here {extra[0]!r})"
                warn(ProjectionWarning(f"{message}: the client picks them"))
                return


def _unasked(node: RunNode, sent: Projection) -> list[str]:
    texts = ((node.config, sent.config), (node.summary_metrics, sent.summary))
    return [key for text, keys in texts if text and keys for key in unasked_keys(text, keys)]


def _edges(data: Any) -> list[Any] | None:
    """The edges of a page that came beside errors, or None where none came."""
    for name in ("project", "runs", "edges"):
        data = data.get(name) if isinstance(data, dict) else None
    return data if isinstance(data, list) else None
