"""Runs as frames and files: which columns a selection has, and every way out of it.

`RunFrames` is mixed into selections, so that what can be iterated can also be a table.
"""

# ruff: noqa: PLC0415 - polars and pandas are extras
from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from wbgql.documents import NOT_FETCHED
from wbgql.errors import ConfigError, NotFound, UsageError
from wbgql.expressions import Field, FieldPath
from wbgql.extras import install_command
from wbgql.frames import (
    Attribute,
    Batches,
    FileFormat,
    KeyKind,
    Kind,
    Layout,
    TextKeys,
    checked_kinds,
    to_table,
    write_batches,
    write_file,
    write_partitions,
)
from wbgql.paths import ProjectPath
from wbgql.projects import ProjectField, list_fields
from wbgql.runs.columns import settle_columns
from wbgql.wire.session import Session

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

MAX_FIELDS = 20_000
"""Beyond this many keys in a project their types are not looked up: values then tell them."""
# Where a project has more keys than one request brings, up to `_MOST_SEARCHES` are searched for, one by one.
_FIRST_FIELDS = 1000
_MOST_SEARCHES = 20

Select = Sequence[Field | str] | Literal["*"]
Types = Mapping[str, KeyKind]
"""What a caller says of columns, e.g. `{"config.seed": "integer"}`."""


def _texts_of(name: str) -> Callable[[Any], list[Any]]:
    read = attrgetter(name)
    return lambda page: list(map(read, page))


def _known(read: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
    """`read`, with None for what the server does not have: a column cannot say "not known"."""
    return lambda page: [None if value is NOT_FETCHED else value for value in read(page)]


def _users(page: Any) -> list[str | None]:
    return [node.user.username if node.user else None for node in page]


def _projects(page: Any) -> list[str]:
    return [str(page.project)] * len(page)


def _attribute(name: str, kind: Kind = "string", source: str | None = None) -> Attribute:
    return Attribute(name, kind, _known(_texts_of(source or name)))


ATTRIBUTES: Mapping[str, Attribute] = {
    attribute.name: attribute
    for attribute in (
        Attribute("project", "string", _projects),
        _attribute("id", source="name"),
        _attribute("display_name"),
        _attribute("state"),
        _attribute("tags", "texts"),
        _attribute("group"),
        _attribute("job_type"),
        _attribute("sweep", source="sweep_name"),
        Attribute("user", "string", _users),
        _attribute("created_at", "time"),
        _attribute("heartbeat_at", "time"),
        _attribute("updated_at", "time"),
        _attribute("host"),
        _attribute("duration_s", "integer", "compute_seconds"),
        _attribute("notes"),
    )
}
"""The attributes a frame can have, in order."""

# These travel only if `select` names them or is "*".
_ON_DEMAND = ("updated_at", "host", "duration_s", "notes")
ALWAYS = ("project", "id")


class RunFrames(ABC):
    """The ways out of a selection of runs: Arrow, Polars, pandas, Parquet, JSON lines, CSV.

    Columns: `project` and `id`, the attributes that `select` names, then one for each config and
    summary key it names, `config.lr` or `summary.val/acc`, null where a run has none. Without `select`:
    `project`, `id`, `display_name`, `state`, `tags`, `group`, `job_type`, `sweep`, `user`,
    `created_at`, `heartbeat_at`; with `select="*"` those, `updated_at`, `host`, `duration_s`, `notes` and
    every top-level key, sorted.

    The columns and their types do not depend on which runs match: types come from the project's
    typed keys (one request a thousand keys), or from `types`. Numbers are float64. A key that is a
    number in some runs and a text in others gives two columns, `config.lr` and `config.lr:string`;
    numbers come first, then booleans, texts, and JSON text for lists and objects (`:json`). `types`
    fixes a key to one of number, integer, boolean, string, json; what does not fit is null, and
    warned of; json holds everything. A key no run of the project has is a column of null numbers.
    Where a server lists no keys, the values that came tell their types.
    """

    _session: Session

    @property
    @abstractmethod
    def select(self) -> Select:
        """The fields to bring, or "*"."""

    @abstractmethod
    def iter_pages(self) -> Iterator[Any]:
        """Yield pages of nodes, each with the `project` it is of."""

    @abstractmethod
    def iter_bare_pages(self) -> Iterator[Any]:
        """Yield such pages without the attributes that were not selected by name."""

    @property
    @abstractmethod
    def read_projects(self) -> Sequence[ProjectPath]:
        """The projects that were read so far."""

    @abstractmethod
    def count_matching(self, filters: dict[str, Any]) -> int:
        """Count the runs of all projects for which a filter holds, whatever this selection asks for."""

    @abstractmethod
    def warn_of_absent(
        self,
        fields: Iterable[Field],
        *,
        measured: Iterable[Field] = (),
        projects: Sequence[ProjectPath] | None = None,
    ) -> None:
        """Warn of fields that no run has."""

    @abstractmethod
    def project_paths(self) -> Sequence[ProjectPath]:
        """Return the projects that are read."""

    def to_arrow(self, *, types: Types | None = None) -> pa.Table:
        """Return the runs as one Arrow table. Sends ceil(n / page_size) requests, and one for types.

        Raises:
            ConfigError: pyarrow is not installed.
        """
        return to_table(*self._pages_and_layout(types))

    def to_polars(self, *, types: Types | None = None) -> pl.DataFrame:
        """Return the runs as a Polars data frame; see `to_arrow`.

        Raises:
            ConfigError: polars or pyarrow is not installed.
        """
        try:
            import polars
        except ImportError as error:
            raise ConfigError(f"to_polars needs polars; run: {install_command('frames')}") from error
        frame = polars.from_arrow(self.to_arrow(types=types))
        assert isinstance(frame, polars.DataFrame)
        return frame

    def to_pandas(self, *, types: Types | None = None) -> pd.DataFrame:
        """Return the runs as a pandas data frame; see `to_arrow`. Types are Arrow's where pandas has none.

        Raises:
            ConfigError: pandas or pyarrow is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ConfigError("to_pandas needs pandas; run: pip install pandas") from error
        return self.to_arrow(types=types).to_pandas(types_mapper=pandas.ArrowDtype)

    def iter_batches(self, *, types: Types | None = None) -> Iterator[pa.RecordBatch]:
        """Yield Arrow record batches of one schema, a page each, lazily. Holds one page at a time.

        Raises:
            ConfigError: pyarrow is not installed.
        """
        return iter(self.batches(types=types))

    def iter_frame_pages(self) -> Iterator[Any]:
        """Yield the pages that a frame is made of, with what it has columns for."""
        return self.iter_bare_pages() if self.select and self.select != "*" else self.iter_pages()

    def batches(self, *, types: Types | None = None) -> Batches:
        """Return the same with its `schema`. Reads the first page at once."""
        return Batches(*self._pages_and_layout(types))

    def to_parquet(
        self, path: Path | str, *, partition_by: str | Sequence[str] | None = None, types: Types | None = None
    ) -> int:
        """Write the runs to a Parquet file, over what is there, and return their number.

        With `partition_by`, `path` is a folder, new or empty, with one `column=value` folder for each
        value; where no run matches, one file in it has all columns. Holds a few pages in memory. The file
        or folder is whole, or not there.

        Raises:
            ConfigError: pyarrow is not installed.
            UsageError: no such column, or the folder is not empty.
            StoreError: the disk is full, or the place cannot be written.
        """
        batches = self.batches(types=types)
        if partition_by is None:
            return write_file(Path(path), batches, "parquet")
        columns = [partition_by] if isinstance(partition_by, str) else list(partition_by)
        return write_partitions(Path(path), batches, columns)

    def to_jsonl(self, file: Path | str | IO[bytes], *, types: Types | None = None) -> int:
        """Write one JSON object a run and return their number. Holds a few pages in memory.

        Keys are the frame's columns. NaN and infinities become the texts W&B stores for them.

        Raises:
            StoreError: the disk is full, or the place cannot be written; nothing is left behind.
        """
        return self._write(file, "jsonl", types)

    def to_csv(self, file: Path | str | IO[bytes], *, types: Types | None = None) -> int:
        """Write CSV with a header and return the number of runs. Holds a few pages in memory.

        A text that a spreadsheet would take for a formula gets an apostrophe in front. Null is an
        empty cell, an empty text a quoted one.

        Raises:
            StoreError: the disk is full, or the place cannot be written; nothing is left behind.
        """
        return self._write(file, "csv", types)

    def layout(self, types: Types | None = None) -> Layout:
        """Return the columns of this selection. One request a thousand keys, where keys are selected.

        Up to 30 counts in addition, for what the list of keys leaves open; see `settle_columns`.

        Raises:
            UsageError: no such type, `types` names a key that is not selected, or `select` an
                attribute that lists do not bring.
        """
        return self._settled(self._listed_fields(types), types, ())

    def _listed_fields(self, types: Types | None) -> list[ProjectField]:
        """The typed keys of what is selected, once it is checked."""
        given = checked_kinds(types)
        texts = _text_keys(self.select)
        asked = {text.name_of(parts) for text in texts for parts in text.keys or ()}
        everything = any(text.keys is None for text in texts)
        if (unknown := sorted(given.keys() - asked)) and not everything:
            raise UsageError(f"types: no key {unknown[0]!r} is selected")
        names = {parts[-1] for text in texts for parts in text.keys or () if text.name_of(parts) not in given}
        _attributes(self.select)
        return self._fields(None if everything else sorted(names)) if everything or names else []

    def _settled(self, fields: Sequence[ProjectField], types: Types | None, nodes: Iterable[Any]) -> Layout:
        texts = _text_keys(self.select)
        known = settle_columns(fields, texts, nodes, self.count_matching)
        return Layout(_attributes(self.select), texts, known | checked_kinds(types))

    def _pages_and_layout(self, types: Types | None) -> tuple[Iterator[Any], Layout]:
        """The pages, and their columns, which are looked up while the first page is on its way."""
        pages = self.iter_frame_pages()
        with ThreadPoolExecutor(1) as aside:
            fields = aside.submit(self._listed_fields, types)
            first = list(islice(pages, 1))
        layout = self._settled(fields.result(), types, chain.from_iterable(first))
        self.warn_of_absent_columns(layout, self.read_projects)
        return chain(_drained(first), pages), layout

    def warn_of_absent_columns(self, layout: Layout, projects: Sequence[ProjectPath]) -> None:
        """Warn of selected keys that no run of the projects has. Sends nothing where all have a type."""
        untyped = [
            field
            for field in self.select
            if isinstance(field, Field)
            and field.path.section != "run"
            and ".".join((field.path.section, *field.path.parts)) not in layout.kinds
        ]
        if untyped:
            self.warn_of_absent(untyped, projects=projects)

    def _write(self, file: Path | str | IO[bytes], format: FileFormat, types: Types | None) -> int:
        batches = self.batches(types=types)
        if isinstance(file, (str, Path)):
            return write_file(Path(file), batches, format)
        return write_batches(file, batches, format)

    def _fields(self, names: Sequence[str] | None) -> list[ProjectField]:
        """The typed keys of the projects; none of one whose server lists none, or too many.

        `names`: all that is wanted, the last part of each key.
        """
        found: list[ProjectField] = []
        for path in self.project_paths():
            # The page that cannot be read reports a project that cannot be read.
            with contextlib.suppress(NotFound):
                found += _typed_keys(self._session, path, names)
        return found


def _drained(pages: list[Any]) -> Iterator[Any]:
    """Give pages away, so that nobody here holds them."""
    while pages:
        yield pages.pop(0)


def _typed_keys(session: Session, path: ProjectPath, names: Sequence[str] | None) -> Sequence[ProjectField]:
    """The typed keys of one project: where it has many, and few are wanted, by search."""
    by_search = names is not None and len(names) <= _MOST_SEARCHES
    listed = list_fields(session, path, most=_FIRST_FIELDS if by_search else MAX_FIELDS)
    if listed is None or listed.complete:
        return () if listed is None else listed.fields
    if not by_search or names is None:
        return ()
    searches = [list_fields(session, path, most=_FIRST_FIELDS, pattern=name) for name in names]
    return [field for found in searches if found is not None for field in found.fields]


def _attributes(select: Select) -> tuple[Attribute, ...]:
    named = [path.parts[0] for path in _paths(select) if path.section == "run"]
    for name in named:
        if name not in ATTRIBUTES:
            raise UsageError(f"run.{name} can be filtered by, but lists of runs do not bring it")
    if select and select != "*":
        names: Iterable[str] = dict.fromkeys((*ALWAYS, *named))
    else:
        names = (name for name in ATTRIBUTES if select == "*" or name not in _ON_DEMAND)
    return tuple(ATTRIBUTES[name] for name in names)


def _text_keys(select: Select) -> tuple[TextKeys, ...]:
    sections: tuple[tuple[Literal["config", "summary"], str], ...] = (
        ("config", "config"),
        ("summary", "summary_metrics"),
    )
    found = []
    for section, source in sections:
        keys: tuple[tuple[str, ...], ...] | None = None
        if select != "*":
            keys = tuple(dict.fromkeys(path.parts for path in _paths(select) if path.section == section))
        if keys is None or keys:
            found.append(TextKeys(section, _texts_of(source), keys, wrapped=section == "config"))
    return tuple(found)


def _paths(select: Select) -> list[FieldPath]:
    return [field.path for field in select if isinstance(field, Field)]
