"""Pages of nodes to one Arrow table, or to record batches of one schema. No I/O.

Values become Arrow arrays page by page, so no node outlives its page.
"""

# ruff: noqa: PLC0415 - pyarrow is an extra and costs 0.2 s to import
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wbgql.cautions import warn
from wbgql.frames.arrays import arrow, arrow_type, attribute_array, key_arrays
from wbgql.frames.decoding import AllKeysReader, KeyReader
from wbgql.frames.layout import (
    DEFAULT_KIND,
    Column,
    FrameWarning,
    KeyKind,
    Layout,
    TextKeys,
    in_order,
    name_columns,
)

if TYPE_CHECKING:
    import pyarrow as pa

Pages = Iterable[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class _Page:
    """One page as arrays: attributes in order, keys by base name and kind."""

    rows: int
    attributes: list[pa.Array]
    keys: dict[str, dict[KeyKind, pa.Array]]


class _Reader:
    """Turns pages of nodes into arrays, and remembers what it saw."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.seen: dict[str, set[KeyKind]] = {base: set() for base in _known_bases(layout)}
        self.strangers: dict[str, int] = {}
        self.broken: list[str] = []
        """The names of nodes with a text that cannot be read as JSON."""
        self._readers = [_text_reader(texts, layout.kinds) for texts in layout.texts]

    def read(self, nodes: Sequence[Any]) -> _Page:
        """Turn one page into arrays."""
        attributes = [
            attribute_array(attribute.read(nodes), attribute.kind) for attribute in self.layout.attributes
        ]
        keys: dict[str, dict[KeyKind, pa.Array]] = {}
        for texts, reader in zip(self.layout.texts, self._readers, strict=True):
            for parts, values in reader.read(texts.read(nodes)).items():
                base = texts.name_of(parts)
                keys[base] = self._key(base, values)
            self.broken += [str(getattr(nodes[row], "name", row)) for row in reader.broken]
        return _Page(len(nodes), attributes, keys)

    def _key(self, base: str, values: Sequence[Any]) -> dict[KeyKind, pa.Array]:
        arrays, strangers = key_arrays(values, self.layout.kinds.get(base))
        self.seen.setdefault(base, set()).update(arrays)
        if strangers:
            self.strangers[base] = self.strangers.get(base, 0) + strangers
        return arrays

    def kinds_of(self, base: str) -> tuple[KeyKind, ...]:
        """The kinds a key has: those known, else those seen so far, else the default."""
        return self.layout.kinds.get(base) or in_order(self.seen[base]) or (DEFAULT_KIND,)


class _Schema:
    """The columns that come out, fixed: attributes first, then keys."""

    def __init__(self, reader: _Reader) -> None:
        self._reader = reader
        everything = any(texts.keys is None for texts in reader.layout.texts)
        layout = reader.layout
        bases = [base for base in reader.seen if base in layout.kinds or not layout.closed]
        if everything:
            bases.sort()
        self.attributes = [Column(item.name, item.kind) for item in reader.layout.attributes]
        self.keys: dict[str, tuple[Column, ...]] = {}
        taken = {column.name for column in self.attributes}
        for base in bases:
            columns = tuple(_free(column, taken) for column in name_columns(base, reader.kinds_of(base)))
            taken.update(column.name for column in columns)
            self.keys[base] = columns

    def kinds(self) -> dict[str, tuple[KeyKind, ...]]:
        """What each key holds, as fixed here."""
        return {base: self._reader.kinds_of(base) for base in self.keys}

    def columns(self) -> list[Column]:
        return [*self.attributes, *(column for columns in self.keys.values() for column in columns)]

    def to_arrow(self) -> pa.Schema:
        import pyarrow as pa

        return pa.schema(
            pa.field(column.name, arrow_type(column.kind), metadata={"kind": column.kind})
            for column in self.columns()
        )

    def arrays(self, page: _Page) -> list[pa.Array]:
        """The page's arrays in the schema's order, nulls where the page has none."""
        import pyarrow as pa

        arrays = list(page.attributes)
        for base, columns in self.keys.items():
            found: Mapping[Any, pa.Array] = page.keys.get(base, {})
            for column in columns:
                array = found.get(column.kind)
                arrays.append(pa.nulls(page.rows, arrow_type(column.kind)) if array is None else array)
        return arrays

    def missing(self, page: _Page) -> Iterator[tuple[str, int]]:
        """What a page holds that has no column here: (base name, number of values)."""
        for base, found in page.keys.items():
            kinds = {column.kind for column in self.keys.get(base, ())}
            for kind, array in found.items():
                if kind not in kinds:
                    yield base, len(array) - array.null_count


def to_table(pages: Pages, layout: Layout) -> pa.Table:
    """Build one table of all pages, in their order.

    Holds the arrays of every page, not the nodes. A key whose kinds are not known has those that
    were seen. Warns (FrameWarning) of values that have no column.
    """
    pa = arrow()
    reader = _Reader(layout)
    read = [*map(reader.read, pages)]
    schema = _Schema(reader)
    batches = [pa.RecordBatch.from_arrays(schema.arrays(page), schema=schema.to_arrow()) for page in read]
    _warn(reader, reader.strangers)
    return pa.Table.from_batches(batches, schema=schema.to_arrow()).combine_chunks()


class Batches:
    """Record batches of one schema, one for each page, made as they are asked for.

    Makes the first batch at once: a key whose kinds are not known has those of the first page.
    What fits no column later is null, and warned of (FrameWarning) at the end. `layout` says how
    they were fixed, for more batches of the same columns.
    """

    def __init__(self, pages: Pages, layout: Layout) -> None:
        arrow()
        self._pages = iter(pages)
        self._reader = _Reader(layout)
        self._first = next(self._read_on(), None)
        self._fixed = _Schema(self._reader)
        self.schema: pa.Schema = self._fixed.to_arrow()
        self.layout = Layout(layout.attributes, layout.texts, self._fixed.kinds(), closed=True)

    @property
    def has_rows(self) -> bool:
        """Whether there is a first batch; asked before it is taken."""
        return self._first is not None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches, once. Holds one page at a time."""
        lost: dict[str, int] = {}
        page, self._first = self._first, None
        while page is not None:
            for base, number in self._fixed.missing(page):
                lost[base] = lost.get(base, 0) + number
            yield self._batch(page)
            page = next(self._read_on(), None)
        for base, number in self._reader.strangers.items():
            lost[base] = lost.get(base, 0) + number
        _warn(self._reader, lost)

    def _read_on(self) -> Iterator[_Page]:
        return map(self._reader.read, self._pages)

    def _batch(self, page: _Page) -> pa.RecordBatch:
        import pyarrow as pa

        return pa.RecordBatch.from_arrays(self._fixed.arrays(page), schema=self.schema)


def _known_bases(layout: Layout) -> list[str]:
    """The keys that have columns whatever comes back."""
    found: dict[str, None] = {}
    for texts in layout.texts:
        if texts.keys is not None:
            found.update(dict.fromkeys(map(texts.name_of, texts.keys)))
        else:
            found.update(dict.fromkeys(base for base in layout.kinds if base.startswith(f"{texts.prefix}.")))
    return list(found)


def _text_reader(texts: TextKeys, kinds: Mapping[str, Any]) -> KeyReader | AllKeysReader:
    if texts.keys is not None:
        return KeyReader(texts.keys, wrapped=texts.wrapped)
    prefix = f"{texts.prefix}."
    known = [base.removeprefix(prefix) for base in kinds if base.startswith(prefix)]
    return AllKeysReader(known, wrapped=texts.wrapped, hidden=texts.hidden)


def _free(column: Column, taken: set[str]) -> Column:
    """The column under a name of its own, in whole characters: a key may be called `lr:string` itself."""
    name = column.name.encode("utf-8", "backslashreplace").decode()
    while name in taken:
        name += ":"
    return Column(name, column.kind)


def _warn(reader: _Reader, lost: Mapping[str, int]) -> None:
    if reader.broken:
        shown = ", ".join(map(repr, reader.broken[:20]))
        warn(
            f"{len(reader.broken)} texts cannot be read as JSON: their keys are null; of {shown}",
            FrameWarning,
        )
    if lost:
        names = ", ".join(f"{base} ({number})" for base, number in sorted(lost.items())[:20])
        warn(
            f"values of another type than their column's are null: {names}; types={{name: 'json'}} keeps all",
            FrameWarning,
        )
