"""Raw filter dicts, as people pass them to `wandb.Api().runs`: read, checked, evaluated. No I/O."""

from __future__ import annotations

from wbgql.filters.columns import column_of, keys_of, split_key
from wbgql.filters.linting import lint_filter
from wbgql.filters.matching import Document, filter_matches, make_matcher
from wbgql.filters.reading import parse_filter_json

__all__ = [
    "lint_filter",
    "parse_filter_json",
    "filter_matches",
    "make_matcher",
    "Document",
    "column_of",
    "keys_of",
    "split_key",
]
