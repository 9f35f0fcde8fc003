"""The paging loop: cursors, limits, repeats, and servers that misbehave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import page
from wbgql.errors import (
    CoverageWarning,
    PermissionDenied,
    ResponseError,
    ServerUnavailable,
    UnstablePopulation,
    UsageError,
)
from wbgql.wire.connection import Begun, Changes, Connection, may_be_too_large
from wbgql.wire.connection import iter_nodes as iter_changing_nodes

Page = Connection[str]


class Pages:
    """A `fetch` that hands out the given pages or raises the given errors, noting what was asked."""

    def __init__(self, *answers: dict[str, Any] | BaseException) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[int, str | None]] = []

    def __call__(self, first: int, after: str | None) -> Page:
        self.asked.append((first, after))
        answer = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return msgspec.convert(answer, Page)


def iter_nodes(fetch: Any, **options: Any) -> Iterator[Any]:
    """The nodes of a list whose client changes nothing."""
    return iter_changing_nodes(fetch, changes=Changes(), **options)


def timeout() -> ServerUnavailable:
    return ServerUnavailable("slow", timed_out=True)


def identity(node: str) -> str:
    return node


def test_iter_nodes_follows_the_cursor_to_the_end() -> None:
    fetch = Pages(page("ab", cursor="c1"), page("cd", cursor="c2"), page("e"))

    assert list(iter_nodes(fetch, page_size=2)) == list("abcde")
    assert fetch.asked == [(2, None), (2, "c1"), (2, "c2")]


def test_iter_nodes_asks_for_a_page_only_when_one_of_its_nodes_is_wanted() -> None:
    fetch = Pages(page("ab", cursor="c1"), page("c"))

    nodes = iter_nodes(fetch)
    assert fetch.asked == []
    assert [next(nodes), next(nodes)] == ["a", "b"]
    assert len(fetch.asked) == 1


def test_iter_nodes_asks_on_the_last_page_only_for_what_the_limit_leaves() -> None:
    fetch = Pages(page("abc", cursor="c1"), page("d", cursor="c2"))

    assert list(iter_nodes(fetch, page_size=3, limit=4)) == list("abcd")
    assert fetch.asked == [(3, None), (1, "c1")]


def test_iter_nodes_keeps_to_the_limit_when_the_server_sends_more_than_asked() -> None:
    assert list(iter_nodes(Pages(page("abcdef", cursor="c1")), limit=2)) == ["a", "b"]


def test_a_limit_of_zero_sends_nothing() -> None:
    fetch = Pages()

    assert list(iter_nodes(fetch, limit=0)) == []
    assert fetch.asked == []


@pytest.mark.parametrize("bad", [{"page_size": 0}, {"limit": -1}])
def test_a_senseless_size_is_refused_at_the_call(bad: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=next(iter(bad))):
        iter_nodes(Pages(), **bad)


def test_iter_nodes_goes_on_after_an_empty_page_that_promises_more() -> None:
    fetch = Pages(page("", cursor="c1"), page("a"))

    assert list(iter_nodes(fetch)) == ["a"]


def test_iter_nodes_gives_up_after_ten_barren_pages_in_a_row() -> None:
    fetch = Pages(page("a", cursor="c"), *(page("a", cursor=f"c{n}") for n in range(20)))

    nodes = iter_nodes(fetch, key=identity)

    assert next(nodes) == "a"
    with pytest.raises(ResponseError, match="10 pages in a row brought nothing new"):
        next(nodes)
    assert len(fetch.asked) == 11


@pytest.mark.parametrize(
    "pages",
    [
        [page("ab", cursor="c1"), page("c", cursor="c1")],
        [page("ab", cursor="c1"), page("b", cursor="c2"), page("c", cursor="c1")],
        [page("abc", cursor=None, has_next=True)],
    ],
    ids=["repeated at once", "repeated later", "missing"],
)
def test_iter_nodes_stops_on_a_cursor_that_leads_nowhere_and_says_so(pages: list[dict[str, Any]]) -> None:
    warnings: list[str] = []

    assert list(iter_nodes(Pages(*pages), key=identity, on_warning=warnings.append)) == list("abc")
    assert len(warnings) == 1
    assert "may not be complete" in warnings[0]


def test_a_list_that_may_be_incomplete_is_never_silent() -> None:
    with pytest.warns(RuntimeWarning, match="may not be complete"):
        assert list(iter_nodes(Pages(page("a", has_next=True)))) == ["a"]


def test_iter_nodes_drops_a_node_already_seen() -> None:
    fetch = Pages(page("ab", cursor="c1"), page("bc"))

    assert list(iter_nodes(fetch, key=identity)) == ["a", "b", "c"]


def test_a_dropped_node_does_not_count_toward_the_limit() -> None:
    fetch = Pages(page("ab", cursor="c1"), page("b", cursor="c2"), page("c"))

    assert list(iter_nodes(fetch, page_size=2, limit=3, key=identity)) == ["a", "b", "c"]
    assert fetch.asked == [(2, None), (1, "c1"), (1, "c2")]


def test_iter_nodes_goes_on_from_the_last_edges_cursor_where_the_page_names_none() -> None:
    first = {
        "pageInfo": {"hasNextPage": True, "endCursor": None},
        "edges": [{"cursor": "e1", "node": "a"}, {"cursor": "e2", "node": "b"}, None],
    }
    fetch = Pages(first, page("c"))

    hidden: list[int] = []
    assert list(iter_nodes(fetch, on_hidden=hidden.append)) == ["a", "b", "c"]
    assert hidden == [1]
    assert fetch.asked[1] == (1000, "e2")


def test_iter_nodes_leaves_out_null_edges_and_null_nodes_and_says_so() -> None:
    holes = {"pageInfo": {"hasNextPage": False}, "edges": [None, {"node": None}, {"node": "a"}]}

    with pytest.warns(CoverageWarning, match="2 files of a run are missing here"):
        assert list(iter_nodes(Pages(holes), what="files of a run")) == ["a"]


def test_iter_nodes_compares_what_came_with_the_servers_count() -> None:
    first, last = page("ab", cursor="c1") | {"totalCount": 4}, page("c") | {"totalCount": 4}
    key = str

    with pytest.warns(CoverageWarning, match="1 files are missing here"):
        assert list(iter_nodes(Pages(first, last), key=key, what="files", counted=True)) == ["a", "b", "c"]
    assert list(iter_nodes(Pages(first, last), key=key)) == ["a", "b", "c"]
    assert list(iter_nodes(Pages(first, last), key=key, counted=True, limit=2)) == ["a", "b"]


@pytest.mark.parametrize(
    "error",
    [
        timeout(),
        ServerUnavailable("bad gateway", status=502),
        ServerUnavailable("gateway timeout", status=504),
    ],
)
def test_iter_nodes_halves_a_page_the_server_could_not_bring(error: ServerUnavailable) -> None:
    fetch = Pages(page("a", cursor="c1"), error, page("b", cursor="c2"), page("c"))

    assert list(iter_nodes(fetch, page_size=100)) == ["a", "b", "c"]
    assert fetch.asked == [(100, None), (100, "c1"), (50, "c1"), (50, "c2")]


def test_iter_nodes_halves_down_to_ten_and_then_gives_up() -> None:
    fetch = Pages(*(timeout() for _ in range(9)))

    with pytest.raises(ServerUnavailable, match="slow"):
        list(iter_nodes(fetch, page_size=100))
    assert [first for first, _ in fetch.asked] == [100, 50, 25, 12, 10]


def test_a_page_is_halved_from_what_was_really_asked() -> None:
    fetch = Pages(timeout(), page("a" * 20, cursor="c1"), page("a" * 20))

    assert len(list(iter_nodes(fetch, page_size=1000, limit=40))) == 40
    assert [first for first, _ in fetch.asked] == [40, 20, 20]


@pytest.mark.parametrize(
    "error",
    [
        PermissionDenied("no"),
        ServerUnavailable("maintenance", status=503),
        ServerUnavailable("no route", timed_out=True, sent=False),
    ],
)
def test_errors_that_no_smaller_page_would_mend_are_raised(error: Exception) -> None:
    fetch = Pages(error)

    with pytest.raises(type(error)):
        list(iter_nodes(fetch))
    assert len(fetch.asked) == 1


def test_only_a_server_that_was_reached_may_have_found_the_page_too_large() -> None:
    assert may_be_too_large(timeout())
    assert not may_be_too_large(ServerUnavailable("no route", timed_out=True, sent=False))


def test_on_page_sees_each_page_before_its_nodes() -> None:
    seen: list[object] = []
    fetch = Pages(page("ab", cursor="c1"), page("c"))

    for node in iter_nodes(fetch, on_page=lambda got: seen.append(len(got.nodes))):
        seen.append(node)

    assert seen == [2, "a", "b", 1, "c"]


@settings(deadline=None)
@given(
    nodes=st.lists(st.text(max_size=2), max_size=60),
    page_size=st.integers(1, 25),
    limit=st.none() | st.integers(0, 70),
    failing=st.sets(st.integers(0, 6)),
)
def test_any_list_comes_through_whole_and_in_order(
    nodes: list[str], page_size: int, limit: int | None, failing: set[int]
) -> None:
    calls = 0

    def fetch(first: int, after: str | None) -> Page:
        nonlocal calls
        calls += 1
        if calls in failing and first > 10:
            raise timeout()
        start = int(after or 0)
        end = start + first
        more = str(end) if end < len(nodes) else None
        return msgspec.convert(page(nodes[start:end], cursor=more), Page)

    got = list(iter_nodes(fetch, page_size=page_size, limit=limit))
    distinct = list(iter_nodes(fetch, page_size=page_size, key=identity))

    assert got == nodes[:limit]
    assert distinct == list(dict.fromkeys(nodes))


class Moving:
    """A list that its reader changes. Cursors are offsets, or (`keyed`) the node that a page ended with."""

    def __init__(self, nodes: str, *, keyed: bool = False, counted: bool = False) -> None:
        self.nodes = list(nodes)
        self.changes = Changes()
        self.requests = 0
        self._all = list(nodes)
        self._keyed = keyed
        self._counted = counted

    def __call__(self, first: int, after: str | None) -> Page:
        self.requests += 1
        begin = 0
        if after is not None and self._keyed:
            behind = self._all[self._all.index(after) + 1 :]
            begin = next((i for i, node in enumerate(self.nodes) if node in behind), len(self.nodes))
        elif after is not None:
            begin = int(after)
        nodes = self.nodes[begin : begin + first]
        end = nodes[-1] if self._keyed and nodes else str(begin + len(nodes))
        answer = page(nodes, cursor=end, has_next=begin + first < len(self.nodes))
        return msgspec.convert(answer | ({"totalCount": len(self.nodes)} if self._counted else {}), Page)

    def change(self, do: Callable[[list[str]], object]) -> None:
        self.changes.note()
        do(self.nodes)
        self.changes.note()

    def read(self, each: Callable[[str], object], **options: Any) -> list[str]:
        """The nodes in the order given, with `each` called for one before the next is asked for."""
        got = []
        for node in iter_changing_nodes(self, changes=self.changes, key=identity, **options):
            got.append(node)
            each(node)
        return got


LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize("keyed", [False, True])
def test_a_loop_that_deletes_what_it_is_given_is_given_everything_in_order(keyed: bool) -> None:
    moving = Moving(LETTERS, keyed=keyed)

    got = moving.read(lambda node: moving.change(lambda nodes: nodes.remove(node)), page_size=4)

    assert (got, moving.nodes) == (list(LETTERS), [])
    assert moving.requests == 7


@pytest.mark.parametrize("keyed", [False, True])
def test_a_loop_that_deletes_the_first_ones_up_to_a_limit_is_given_the_first_ones(keyed: bool) -> None:
    moving = Moving(LETTERS, keyed=keyed)

    got = moving.read(lambda node: moving.change(lambda nodes: nodes.remove(node)), page_size=4, limit=10)

    assert got == list(LETTERS[:10])


def test_a_loop_that_changes_nothing_of_the_order_reads_each_page_twice_at_most() -> None:
    moving = Moving(LETTERS * 1)

    got = moving.read(lambda _: moving.change(lambda _nodes: None), page_size=2)

    assert got == list(LETTERS)
    assert moving.requests <= 3 * 13


def test_a_loop_that_moves_each_node_to_the_front_or_the_end_is_given_all_of_them() -> None:
    for place in (0, len(LETTERS)):
        moving = Moving(LETTERS)

        def move(node: str, moving: Moving = moving, place: int = place) -> None:
            moving.change(lambda nodes: (nodes.remove(node), nodes.insert(place, node)))

        assert sorted(moving.read(move, page_size=4)) == list(LETTERS)


def test_what_the_loop_makes_is_not_given_to_it() -> None:
    moving = Moving(LETTERS)

    def copy(node: str) -> None:
        moving.change(lambda nodes: nodes.insert(0, node.upper()))
        moving.changes.note(made=node.upper())

    assert sorted(moving.read(copy, page_size=4)) == list(LETTERS)
    assert len(moving.nodes) == 52


def test_a_list_that_came_with_something_else_is_read_from_its_start_after_a_change() -> None:
    moving = Moving(LETTERS)
    begun = Begun(moving(3, None), moving.changes.count)

    got = moving.read(lambda node: moving.change(lambda nodes: nodes.remove(node)), page_size=5, begun=begun)

    assert got == list(LETTERS)


def test_a_list_without_a_new_cursor_raises_if_its_client_changed_it() -> None:
    changes = Changes()
    fetch = Pages(page("ab", has_next=True), page("ab", has_next=True))

    nodes = iter_changing_nodes(fetch, changes=changes, key=identity)
    next(nodes)
    changes.note()

    with pytest.raises(UnstablePopulation, match="this client changed what it lists"):
        list(nodes)


def test_others_who_change_a_list_are_warned_of_once() -> None:
    moving = Moving(LETTERS, counted=True)
    warnings: list[str] = []

    moving.read(moving.nodes.remove, page_size=4, on_warning=warnings.append)

    assert len(warnings) == 1
    assert "others changed the list while it was read (the server counted 26, then 22)" in warnings[0]


def test_the_clients_own_changes_are_no_reason_to_warn_of_others() -> None:
    moving = Moving(LETTERS, counted=True)
    warnings: list[str] = []

    def delete(node: str) -> None:
        if node in "bdf":
            moving.change(lambda nodes: nodes.remove(node))

    moving.read(delete, page_size=4, on_warning=warnings.append)

    assert warnings == []


def test_threads_that_go_on_changing_things_end_in_a_warning_and_not_in_a_loop() -> None:
    moving = Moving(LETTERS)
    warnings: list[str] = []

    def fetch(first: int, after: str | None) -> Page:
        moving.changes.note()  # another thread, about something else
        return moving(first, after)

    got = list(
        iter_changing_nodes(
            fetch, changes=moving.changes, key=identity, page_size=4, on_warning=warnings.append
        )
    )

    assert got == list(LETTERS)
    assert len(warnings) == 1
    assert moving.requests <= 4 * 14


@settings(max_examples=300)
@given(
    size=st.integers(1, 5),
    keyed=st.booleans(),
    script=st.lists(
        st.tuples(st.sampled_from(["keep", "delete", "front", "end", "other"]), st.integers(0, 25)),
        max_size=40,
    ),
)
def test_whatever_a_loop_does_to_its_own_list_nothing_that_stays_is_missed(
    size: int, keyed: bool, script: list[tuple[str, int]]
) -> None:
    moving = Moving(LETTERS, keyed=keyed)
    steps = iter(script)
    dropped: set[str] = set()

    def step(node: str) -> None:
        what, number = next(steps, ("keep", 0))
        target = LETTERS[number] if what == "other" else node
        if what == "keep" or target not in moving.nodes:
            return
        if what in ("delete", "other"):
            dropped.add(target)
            moving.change(lambda nodes: nodes.remove(target))
        elif not keyed:  # a keyed cursor means an order that does not change
            moving.change(
                lambda nodes: (nodes.remove(node), nodes.insert(0 if what == "front" else 26, node))
            )

    got = moving.read(step, page_size=size)

    assert len(got) == len(set(got))
    assert set(LETTERS) - set(got) <= dropped


def test_different_nodes_of_one_page_with_the_same_key_are_warned_of() -> None:
    told: list[str] = []
    fetch = Pages(page(["a1", "a2", "b1", "b1"]))

    found = list(iter_nodes(fetch, key=lambda node: node[0], on_warning=told.append))

    assert found == ["a1", "b1"]
    assert len(told) == 1
    assert "same id and differ" in told[0]
    assert list(iter_nodes(Pages(page(["a1", "a1"])), key=lambda node: node[0])) == ["a1"]
