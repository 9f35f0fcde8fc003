"""Rows to Arrow and on: one schema whatever comes back. Knows columns, not runs.

pyarrow, polars and pandas are extras, imported when used.
"""

from __future__ import annotations

from wbgql.frames.building import Batches, Pages, to_table
from wbgql.frames.layout import (
    Attribute,
    Column,
    FrameWarning,
    KeyKind,
    Kind,
    Layout,
    TextKeys,
    checked_kinds,
    column_name,
    in_order,
    kinds_of_field_types,
)
from wbgql.frames.writing import (
    FORMATS,
    FileFormat,
    Opener,
    Writer,
    make_writer,
    open_new,
    replacing,
    store_errors,
    write_batches,
    write_file,
    write_partitions,
)

__all__ = [
    "Attribute",
    "Batches",
    "Column",
    "FORMATS",
    "FileFormat",
    "FrameWarning",
    "KeyKind",
    "Kind",
    "Layout",
    "Opener",
    "Pages",
    "TextKeys",
    "Writer",
    "checked_kinds",
    "column_name",
    "in_order",
    "kinds_of_field_types",
    "make_writer",
    "open_new",
    "replacing",
    "store_errors",
    "to_table",
    "write_batches",
    "write_file",
    "write_partitions",
]
