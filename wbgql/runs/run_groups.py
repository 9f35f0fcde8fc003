"""The ways from a selection of runs to groups of them. `RunGroups` is mixed into selections."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from wbgql.errors import UsageError
from wbgql.expressions import Field, parse_field, run
from wbgql.runs.groups import By, GroupBest, GroupKey, HasFields, Mode, best_of_each, group_keys, summarize

if TYPE_CHECKING:
    import pyarrow as pa

    from wbgql.frames import Batches
    from wbgql.paths import ProjectPath

R = TypeVar("R", bound=HasFields)

# Kinds of a mixed key that hold numbers; see `RunFrames`.
_NUMERIC = ("", ":number", ":integer", ":boolean")


class RunGroups(ABC, Generic[R]):
    """Groups of the runs of a selection. Each call reads every run that matches once, projected.

    `by` is a field or several, or their texts (`wb.run.group`, `'config["lr"]'`), or the word "project".
    Runs that have none of it are a group of their own, under None.
    """

    _tally: Any

    if TYPE_CHECKING:  # `RunFrames` has it

        def batches(self) -> Batches: ...

    @abstractmethod
    def selecting(self, *fields: Field | str) -> Self:
        """Return the same selection, bringing these fields too."""

    @abstractmethod
    def __iter__(self) -> Iterator[R]:
        """Yield the runs."""

    @abstractmethod
    def warn_of_absent(
        self,
        fields: Iterable[Field],
        *,
        measured: Iterable[Field] = (),
        projects: Sequence[ProjectPath] | None = None,
    ) -> None:
        """Warn of fields that no run which was read last had, or had a value to measure at."""

    def best(self, *, by: By, metric: Field | str, mode: Mode = "max") -> list[GroupBest[R]]:
        """Return the run with the greatest (`mode="min"`: least) metric of each group.

        Groups come in the order in which they appear in the selection. Holds one run a group.

        Raises:
            UsageError: a field cannot be read, or `mode` is neither "max" nor "min".
        """
        keys, measured = group_keys(by), _as_field(metric)
        chosen = self.selecting(*_fields(keys), measured)
        try:
            found = best_of_each(chosen, keys, measured, mode=mode)
        finally:
            self._tally = chosen._tally
        self._warn(_empty_keys(found, keys), [] if any(one.measured for one in found) else [measured])
        return found

    def latest(self, *, by: By) -> list[GroupBest[R]]:
        """Return the run of each group that was created last; as `best`."""
        return self.best(by=by, metric=run.created_at)

    def stats(self, *, by: By, of: Sequence[Field | str] | Field | str = ()) -> pa.Table:
        """Return one Arrow row for each group: `by`, `runs`, then count, sum, mean, min and max of each `of`.

        Column names are those of frames (`config.lr`, `summary.loss`), with `.count` and so on behind them.
        See `groups.summarize` for types and nulls. Holds a page of runs and the groups.

        Raises:
            ConfigError: pyarrow is not installed.
            UsageError: a field cannot be read, holds no numbers or cannot be grouped by.
        """
        keys = group_keys(by)
        measured = [_as_field(field) for field in ([of] if isinstance(of, (Field, str)) else of)]
        # Naming attributes leaves out all others; the id is always there.
        chosen = self.selecting(run.id, *_fields(keys), *measured)
        try:
            table = _summarize(chosen.batches(), keys, measured)
        finally:
            self._tally = chosen._tally
        empty = [field for field in _fields(keys) if _is_empty(table, _column_name(field))]
        self._warn(empty, [field for field in measured if _is_empty(table, _column_name(field))])
        return table

    def _warn(self, absent: Iterable[Field], measured: Sequence[Field]) -> None:
        """A misspelt key must not look like a group of its own; no runs prove nothing."""
        absent = list(absent)
        if (absent or measured) and self._tally.coverage().runs:
            self.warn_of_absent(absent, measured=measured)


def _summarize(batches: Batches, keys: Sequence[GroupKey], measured: Sequence[Field]) -> pa.Table:
    names = batches.schema.names
    by = [name for key in keys for name in _columns(names, _column_name(key.field))]
    of = [name for field in measured for name in _columns(names, _column_name(field), only=_NUMERIC)]
    return summarize(batches, list(dict.fromkeys(by)), list(dict.fromkeys(of)), schema=batches.schema)


def _empty_keys(found: Sequence[GroupBest[Any]], keys: Sequence[GroupKey]) -> Iterator[Field]:
    """The fields to group by that no run had."""
    for number, key in enumerate(keys):
        if key.field is not None and all(one.group[number] is None for one in found):
            yield key.field


def _is_empty(table: pa.Table, base: str) -> bool:
    """Whether no run had a value in the columns of a key: they are grouped by, or counted."""
    counts = [name for name in table.column_names if name.startswith(base) and name.endswith(".count")]
    if any(any(table[name].to_pylist()) for name in counts):
        return False
    columns = [name for name in table.column_names if name == base or name.startswith(f"{base}:")]
    return all(table[name].null_count == len(table) for name in columns)


def _columns(names: Sequence[str], base: str, only: Sequence[str] | None = None) -> list[str]:
    """The columns of one key: a key of mixed types has one for each type."""
    found = [name for name in names if name == base or name.startswith(f"{base}:")]
    return [name for name in found if only is None or name.removeprefix(base) in only] or [base]


def _column_name(field: Field | None) -> str:
    if field is None:
        return "project"
    path = field.path
    return path.parts[0] if path.section == "run" else ".".join((path.section, *path.parts))


def _fields(keys: Sequence[GroupKey]) -> list[Field]:
    return [key.field for key in keys if key.field is not None]


def _as_field(given: Field | str) -> Field:
    field = parse_field(given) if isinstance(given, str) else given
    if not isinstance(field, Field):
        raise UsageError(f"name a field such as wb.summary['loss'] or its text, not {given!r}")
    return field
