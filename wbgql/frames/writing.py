"""Record batches to files: Parquet, JSON lines, CSV. A file is whole under its name, or not there.

Everything is written beside the file that is meant, made durable, and renamed onto it.
"""

# ruff: noqa: PLC0415 - pyarrow is an extra and costs 0.2 s to import
from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import msgspec

from wbgql.errors import StoreError, UsageError
from wbgql.frames.arrays import arrow
from wbgql.scalars import FORMULA_PATTERN, is_formula, to_safe_json

if TYPE_CHECKING:
    import pyarrow as pa

FileFormat: TypeAlias = Literal["parquet", "jsonl", "csv"]
FORMATS: tuple[FileFormat, ...] = ("parquet", "jsonl", "csv")

Opener = Callable[[Path], IO[bytes]]
"""Opens a new file for writing; stands in for a disk in tests."""

_ROW_GROUP = 10_000
_NON_FINITE_CELLS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


class Writer(Protocol):
    """Writes batches to one open file."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Take one batch; it may reach the file later."""

    def finish(self) -> None:
        """Write what is left. The file stays open."""


class BatchSource(Protocol):
    """Record batches of one schema."""

    schema: Any

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches."""


def open_new(path: Path) -> IO[bytes]:
    """Open a file that must not be there yet."""
    return path.open("xb")


def write_file(path: Path, batches: BatchSource, format: FileFormat, *, opener: Opener = open_new) -> int:
    """Write all batches to one file, over what is there; return the number of rows.

    Raises:
        StoreError: the disk is full, or the folder cannot be written; nothing is left behind.
    """
    with replacing(path, opener) as file:
        return write_batches(file, batches, format)


def write_partitions(folder: Path, batches: BatchSource, columns: Sequence[str]) -> int:
    """Write Parquet files to `column=value` folders under a new or empty folder; return the rows.

    Without rows there is no value to make a folder of: one file there then has all columns, and no rows.

    Raises:
        UsageError: no such column, or the folder holds something.
        StoreError: the disk is full, or the folder cannot be written; nothing is left behind.
    """
    from pyarrow import dataset, parquet

    pa = arrow()
    for column in columns:
        if column not in batches.schema.names:
            raise UsageError(
                f"partition_by: no column {column!r}, there are {', '.join(batches.schema.names)}"
            )
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    counted = _Counted(batches)
    try:
        with store_errors(folder):
            _require_empty(folder)
            dataset.write_dataset(
                pa.RecordBatchReader.from_batches(batches.schema, counted),
                unfinished,
                format="parquet",
                partitioning=list(columns),
                partitioning_flavor="hive",
            )
            if not counted.rows:
                unfinished.mkdir(exist_ok=True)
                parquet.write_table(batches.schema.empty_table(), unfinished / "part-0.parquet")
            unfinished.replace(folder)
            sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return counted.rows


def _require_empty(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"folder is not empty: {folder}, remove it or name another")


class _Counted:
    def __init__(self, batches: BatchSource) -> None:
        self._batches = batches
        self.rows = 0

    def __iter__(self) -> Iterator[Any]:
        for batch in self._batches:
            self.rows += batch.num_rows
            yield batch


@contextlib.contextmanager
def replacing(path: Path, opener: Opener = open_new) -> Iterator[IO[bytes]]:
    """Give a file to write that takes the place of `path` when the block ends well.

    Raises:
        StoreError: what the system says; the file being written is removed.
    """
    if path.exists() and not path.is_file():
        # Renaming onto a device or a pipe would put a file in its place.
        raise StoreError(f"cannot write: {path}, it is not a file")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with store_errors(path):
            unfinished.unlink(missing_ok=True)
            with opener(unfinished) as file:
                yield file
                file.flush()
                sync(file)
            unfinished.replace(path)
            sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turn the file system's failures into `StoreError`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(f"disk is full: {path}, make room and try again") from error
        reason = (error.strerror or str(error)).lower()
        raise StoreError(f"cannot write: {path}, {reason}") from error


def sync(file: IO[bytes]) -> None:
    """Make a file's contents durable, where it is a real file."""
    try:
        number = file.fileno()
    except (AttributeError, io.UnsupportedOperation):
        return
    os.fsync(number)


def sync_folder(folder: Path) -> None:
    """Make a rename durable."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def write_batches(file: IO[bytes], batches: BatchSource, format: FileFormat) -> int:
    """Write all batches to an open file and return the number of rows. Holds a few pages."""
    writer = make_writer(file, batches.schema, format)
    rows = 0
    for batch in batches:
        writer.write(batch)
        rows += batch.num_rows
    writer.finish()
    return rows


def make_writer(file: IO[bytes], schema: pa.Schema, format: FileFormat) -> Writer:
    """Return the writer of a format, its header written.

    Raises:
        UsageError: no such format.
    """
    arrow()
    kinds: dict[str, Callable[[IO[bytes], pa.Schema], Writer]] = {
        "parquet": _ParquetWriter,
        "jsonl": _JsonLinesWriter,
        "csv": _CsvWriter,
    }
    if format not in kinds:
        raise UsageError(f"no such format {format!r}, use {', '.join(FORMATS)}")
    return kinds[format](file, schema)


class _ParquetWriter:
    """Parquet with zstd. Row groups are of one size whatever the batches: equal rows give equal files."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        self._writer = pq.ParquetWriter(file, schema, compression="zstd")
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        while self._rows + batch.num_rows >= _ROW_GROUP:
            head = _ROW_GROUP - self._rows
            self._waiting.append(batch.slice(0, head))
            self._flush()
            batch = batch.slice(head)
        self._waiting.append(batch)
        self._rows += batch.num_rows

    def finish(self) -> None:
        if self._rows:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_batches(self._waiting).combine_chunks(), _ROW_GROUP)
        self._waiting, self._rows = [], 0


class _JsonLinesWriter:
    """One object a line, the columns' names as keys. JSON columns are values, not texts in texts.

    Numbers that are not finite become the texts that W&B stores for them, as JSON has none.
    """

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        self._file = file
        self._names = schema.names
        self._encoder = msgspec.json.Encoder()

    def write(self, batch: pa.RecordBatch) -> None:
        columns = [_json_values(batch.schema.field(n), batch.column(n)) for n in range(batch.num_columns)]
        encode = self._encoder.encode
        rows = zip(*columns, strict=True)
        self._file.writelines(encode(dict(zip(self._names, row, strict=True))) + b"\n" for row in rows)

    def finish(self) -> None:
        self._file.flush()


class _CsvWriter:
    """CSV in UTF-8 with a header; null is an empty cell, an empty text is a quoted one.

    A text that a spreadsheet would take for a formula gets an apostrophe in front. Tags are
    a JSON list, instants ISO-8601. Numbers that are not finite are the texts that W&B stores for them.
    """

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        import pyarrow as pa

        kinds = [(field.name, pa.string() if _is_text(field.type) else field.type) for field in schema]
        self._file = file
        self._schema = pa.schema(kinds)
        # A key of the server's is a cell of the header like any other.
        names = [f"'{field.name}" if is_formula(field.name) else field.name for field in self._schema]
        self._file.write(_csv_bytes(self._schema.empty_table().rename_columns(names), headed=True))

    def write(self, batch: pa.RecordBatch) -> None:
        import pyarrow as pa

        columns = [_csv_array(column) for column in batch.columns]
        rows = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        self._file.write(_csv_bytes(rows, headed=False) if _is_finite(rows) else _csv_lines(rows))

    def finish(self) -> None:
        self._file.flush()


def _csv_bytes(rows: pa.RecordBatch | pa.Table, *, headed: bool) -> bytes:
    from pyarrow import csv

    out = io.BytesIO()
    csv.write_csv(rows, out, csv.WriteOptions(include_header=headed))
    return out.getvalue()


def _is_finite(rows: pa.RecordBatch) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    floats = [column for column in rows.columns if pa.types.is_floating(column.type)]
    return all(pc.all(pc.is_finite(column)).as_py() is not False for column in floats)


def _csv_lines(rows: pa.RecordBatch) -> bytes:
    """The same as pyarrow writes, but for numbers that are not finite, which it calls nan and inf."""
    import pyarrow as pa

    columns = []
    for column in rows.columns:
        texts: list[str | None] = column.cast(pa.string()).to_pylist()
        if pa.types.is_floating(column.type):
            texts = [_NON_FINITE_CELLS.get(text or "", text) for text in texts]
        elif pa.types.is_string(column.type):
            texts = [text and '"' + text.replace('"', '""') + '"' if text != "" else '""' for text in texts]
        columns.append([text or "" for text in texts])
    return "".join(f"{','.join(row)}\n" for row in zip(*columns, strict=True)).encode()


def _json_values(field: pa.Field, column: pa.Array) -> list[Any]:
    import pyarrow as pa

    values: list[Any] = column.to_pylist()
    if pa.types.is_floating(field.type):
        return [to_safe_json(value) for value in values]
    if (field.metadata or {}).get(b"kind") == b"json":
        return [None if value is None else msgspec.Raw(value.encode()) for value in values]
    return values


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return any(is_kind(kind) for is_kind in (pa.types.is_string, pa.types.is_list, pa.types.is_timestamp))


def _csv_array(column: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_timestamp(column.type):
        return pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ")
    if pa.types.is_list(column.type):
        texts = [None if item is None else msgspec.json.encode(item).decode() for item in column.to_pylist()]
        return pa.array(texts, pa.string())
    if pa.types.is_string(column.type):
        risky = pc.match_substring_regex(column, pattern=FORMULA_PATTERN)
        return pc.if_else(risky, pc.binary_join_element_wise("'", column, ""), column)
    return column
