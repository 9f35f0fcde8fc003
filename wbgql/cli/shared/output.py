"""Data on stdout or in a file, as table, JSON, JSON lines, CSV or ids."""

from __future__ import annotations

import codecs
import io
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TextIO, TypeVar

import click

from wbgql.cli.shared.id_lines import to_line
from wbgql.cli.shared.terminal import printable
from wbgql.errors import StoreError, UsageError

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

LIST_FORMATS = ("table", "json", "jsonl", "csv")
OBJECT_FORMATS = ("table", "json")
# What W&B stores for a negative infinity: a number to its readers.
_NUMBERS_AS_TEXT = ("-Infinity",)
# Widths of a table's columns, in cells of the terminal.
_SHORT_CELL, _FOLDED_WIDTH, _GAP_WIDTH = 36, 6, 3


@dataclass(frozen=True)
class Listing(Generic[T]):
    """Things to print: `columns` for table and CSV, `record` for JSON, `key` for ids and text.

    Without `record`, the columns make the JSON object.
    """

    items: Iterable[T]
    columns: Mapping[str, Callable[[T], Any]]
    record: Callable[[T], Mapping[str, Any]] | None = None
    key: Callable[[T], str] | None = None

    def cells(self, item: T) -> list[Any]:
        """The values of one row, in the order of the columns."""
        return [value(item) for value in self.columns.values()]

    def to_record(self, item: T) -> Mapping[str, Any]:
        """The JSON object of one item."""
        if self.record is not None:
            return self.record(item)
        return dict(zip(self.columns, self.cells(item), strict=True))


def list_options(*more_formats: str) -> Callable[[F], F]:
    """Add `--format` and `-o` of a command that prints a list."""
    return _output_options(
        (*LIST_FORMATS, *more_formats), "How to print  [default: table on a terminal, jsonl elsewhere]"
    )


def object_options() -> Callable[[F], F]:
    """Add `--format` and `-o` of a command that prints one thing."""
    return _output_options(OBJECT_FORMATS, "How to print  [default: table on a terminal, json elsewhere]")


def _output_options(formats: tuple[str, ...], help_text: str) -> Callable[[F], F]:
    def add(command: F) -> F:
        command = click.option(
            "-o",
            "--output",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Write to FILE, whole or not at all.",
        )(command)
        return format_option(formats, help_text)(command)

    return add


def format_option(formats: Sequence[str], help_text: str) -> Callable[[F], F]:
    """Add `--format`, and `--json`, which most would try first. Of both, the one given last counts."""

    def add(command: F) -> F:
        command = click.option("--json", "format_", flag_value="json", help="Short for --format json.")(
            command
        )
        return click.option("--format", "format_", type=click.Choice(formats), help=help_text)(command)

    return add


def write_list(listing: Listing[Any], format_: str | None, output: Path | None) -> int:
    """Print a list and return how many items it had. All formats but table are streamed.

    Raises:
        StoreError: the output cannot be written; a file is then left as it was.
    """
    counted = _Counted(listing.items)
    with _writing(output) as stream:
        _LIST_WRITERS[format_ or _default(stream, "jsonl")](listing, counted, stream)
    return counted.count


def write_object(
    record: Mapping[str, Any],
    format_: str | None,
    output: Path | None,
    *,
    flat: Mapping[str, Any] | None = None,
) -> None:
    """Print one thing: its JSON, or a table of names and values (those of `flat`, if given).

    Raises:
        StoreError: as `write_list`.
    """
    with _writing(output) as stream:
        if (format_ or _default(stream, "json")) == "json":
            stream.write(f"{_json(record, stream, indent=2)}\n")
        else:
            rows = ([name, value] for name, value in (flat or record).items())
            _write_table(["", ""], rows, stream, headed=False)


def write_text(text: str, output: Path | None) -> None:
    """Print plain text of ours; what could drive a terminal is written out.

    Raises:
        StoreError: as `write_list`.
    """
    with _writing(output) as stream:
        stream.write(printable(text, keep="\n"))


def needs_file(output: Path | None, format_: str) -> Path:
    """Return the file a binary format goes to; it is not for a terminal or a pipe.

    Raises:
        UsageError: none was named.
    """
    if output is None or str(output) == "-":
        raise UsageError(f"--format {format_} needs a file: -o FILE")
    return output


class _Counted:
    def __init__(self, items: Iterable[Any]) -> None:
        self._items = items
        self.count = 0

    def __iter__(self) -> Iterator[Any]:
        for item in self._items:
            self.count += 1
            yield item


def _default(stream: TextIO, elsewhere: str) -> str:
    return "table" if stream.isatty() else elsewhere


def _write_jsonl(listing: Listing[Any], items: Iterable[Any], stream: TextIO) -> None:
    for item in items:
        stream.write(f"{_json(listing.to_record(item), stream)}\n")


def _write_json(listing: Listing[Any], items: Iterable[Any], stream: TextIO) -> None:
    before = "["
    for item in items:
        stream.write(f"{before}\n{_json(listing.to_record(item), stream)}")
        before = ","
    stream.write("[]\n" if before == "[" else "\n]\n")


def _write_csv(listing: Listing[Any], items: Iterable[Any], stream: TextIO) -> None:
    import csv

    # A file keeps each character; a terminal would act on some.
    shown: Callable[[str], str] = printable if stream.isatty() else str
    writer = csv.writer(_Lines(stream), lineterminator="\r\n")
    writer.writerow([shown(_csv_cell(name)) for name in listing.columns])
    writer.writerows([shown(_csv_cell(value)) for value in listing.cells(item)] for item in items)


class _Lines:
    """Ends lines with a line feed. The csv module quotes a `\\r` in a cell only where lines end with it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        self._stream.write(f"{line[:-2]}\n")


def _write_ids(listing: Listing[Any], items: Iterable[Any], stream: TextIO) -> None:
    assert listing.key is not None
    for item in items:
        stream.write(f"{to_line(listing.key(item), ascii_only=not _is_utf8(stream))}\n")


def _write_text(listing: Listing[Any], items: Iterable[Any], stream: TextIO) -> None:
    assert listing.key is not None
    for item in items:
        text = printable(listing.key(item), keep="\t")  # apart: 3.11 takes no backslash inside an f-string
        stream.write(f"{text}\n")


def _write_list_table(listing: Listing[Any], items: Iterable[Any], stream: TextIO) -> None:
    _write_table(list(listing.columns), (listing.cells(item) for item in items), stream)


_LIST_WRITERS: dict[str, Callable[[Listing[Any], Iterable[Any], TextIO], None]] = {
    "table": _write_list_table,
    "json": _write_json,
    "jsonl": _write_jsonl,
    "csv": _write_csv,
    "ids": _write_ids,
    "text": _write_text,
}


def _write_table(names: list[str], rows: Iterable[list[Any]], stream: TextIO, *, headed: bool = True) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # `Text` and not str: rich would read [brackets] in a run's name as its markup.
    heads = [Text(printable(name)) for name in names]
    lines = [[Text(printable(_cell(value))) for value in row] for row in rows]
    # Only a terminal has a width to fold at; elsewhere nothing may be lost to one.
    width = None if stream.isatty() else 100_000
    console = Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
    natural = [max(cell.cell_len for cell in column) for column in zip(heads, *lines, strict=True)]
    table = Table(box=SIMPLE_HEAD if headed else None, show_header=headed, pad_edge=False)
    for head, whole in zip(heads, _kept_whole(natural, console.width), strict=True):
        table.add_column(head, overflow="fold", no_wrap=whole)
    for line in lines:
        table.add_row(*line)
    # rich ends the process itself where a pipe breaks; what is captured first, we write.
    with console.capture() as text:
        console.print(table)
    stream.write(text.get())


def _kept_whole(natural: list[int], width: int) -> list[bool]:
    """Which columns stay in one line: short ones, from the left, while the others keep room to fold."""
    spare = width - len(natural) * (_FOLDED_WIDTH + _GAP_WIDTH)
    kept = []
    for cells in natural:
        more = max(0, cells - _FOLDED_WIDTH)
        kept.append(cells <= _SHORT_CELL and more <= spare)
        spare -= more if kept[-1] else 0
    return kept


def _cell(value: Any) -> str:
    """A value as people read it: times to the second, numbers to six digits."""
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6g}"
    return _text(value)


def _csv_cell(value: Any) -> str:
    from wbgql.scalars import is_formula

    text = _text(value)
    if isinstance(value, str) and text not in _NUMBERS_AS_TEXT and is_formula(text):
        text = f"'{text}"
    return text


def _text(value: Any) -> str:
    from wbgql.scalars import format_datetime, to_safe_json

    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float() if not math.isfinite(value):
            return str(to_safe_json(value))
        case datetime():
            return format_datetime(value)
        case int() | float():
            return repr(value)
        case _:
            return _json(value)


def _json(value: Any, stream: TextIO | None = None, *, indent: int | None = None) -> str:
    """JSON in the characters that `stream` takes: ASCII alone, unless it is UTF-8."""
    import json

    from wbgql.scalars import to_safe_json

    separators = (",", ":") if indent is None else None
    text = json.dumps(
        to_safe_json(value),
        ensure_ascii=False,
        allow_nan=False,
        separators=separators,
        indent=indent,
        default=_text,
    )
    ascii_only = stream is not None and not _is_utf8(stream)
    if text.isprintable() and (text.isascii() or not ascii_only):
        return text
    # Lossless: what is escaped here stands inside a string of the JSON text.
    return "".join(
        char
        if char == "\n" or (char.isprintable() and (char.isascii() or not ascii_only))
        else "".join(f"\\u{unit:04x}" for unit in _utf16(char))
        for char in text
    )


def _utf16(char: str) -> list[int]:
    raw = char.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]


@contextmanager
def _writing(output: Path | None) -> Iterator[TextIO]:
    """Open where the data goes. Failures to write become `StoreError`, a broken pipe stays one."""
    try:
        if output is None or str(output) == "-":
            stream = standard_output()
            if not stream.isatty() and not _is_utf8(stream) and isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="strict")  # a pipe gets what was meant, or nothing
            yield stream
            sys.stdout.flush()
        else:
            with _replacing(output) as stream:
                yield stream
    except BrokenPipeError:
        raise
    except UnicodeEncodeError as error:
        raise StoreError(
            f"standard output is {error.encoding}, which has no {error.object[error.start]!a}: use --format "
            "json or ids, -o FILE, or set PYTHONIOENCODING=utf-8"
        ) from error
    except OSError as error:
        where = "standard output" if output is None else repr(str(output))
        raise StoreError(f"cannot write to {where}: {(error.strerror or str(error)).lower()}") from error


def _is_utf8(stream: TextIO) -> bool:
    return codecs.lookup(stream.encoding or "utf-8").name == "utf-8"


def standard_output() -> TextIO:
    """Where data goes.

    Raises:
        StoreError: the caller closed it (`>&-`), and Python has none.
    """
    stream: TextIO | None = sys.stdout
    if stream is None:
        raise StoreError("cannot write to standard output: it is closed")
    return stream


@contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    """Write beside `path` and put it in its place at the end; a device or a pipe is written to as it is."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            yield stream
        return
    fresh = path.with_name(f".{path.name[:200]}.{os.urandom(4).hex()}.part")
    try:
        with fresh.open("x", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
