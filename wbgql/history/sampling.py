"""Rows of a run that the server chooses: enough for a curve to keep its shape."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wbgql.cautions import warn
from wbgql.errors import SampledWarning, UsageError
from wbgql.history.operations import SAMPLE_HISTORY, ask_run
from wbgql.history.rows import Row, check_keys, keys_with_gaps, make_specs, merge_samples, step_of
from wbgql.history.scanning import check_range
from wbgql.paths import RunPath
from wbgql.wire.session import Session

DEFAULT_SAMPLES = 500
MAX_SAMPLES = 100_000


def sample_history(
    session: Session,
    path: RunPath,
    keys: Iterable[str],
    *,
    samples: int = DEFAULT_SAMPLES,
    min_step: int = 0,
    max_step: int | None = None,
    together: bool = False,
) -> list[Row]:
    """Return rows chosen by the server, up to `samples` for each key, joined by step. One request.

    A row holds those of `keys` that were sampled at its step: the union, in order of steps. `together`
    asks for rows that hold all keys at once instead, as a scatter plot needs. `_timestamp` and `_runtime`
    may be among the keys. NaN and infinities come as floats.

    The server samples each key apart. Where it thinned a key out, a row that another key has may lack it
    although it was logged there: a `SampledWarning` then names the key.

    Raises:
        NotFound: the run or its project is missing or not visible.
    """
    listed = check_keys(keys) or ()
    specs = make_sample_specs(listed, samples, min_step, max_step, together=together)
    lists = ask_run(session, SAMPLE_HISTORY, path, specs=specs).sampled_history
    if not together:
        warn_of_gaps(keys_with_gaps(lists, listed, samples), samples)
    rows = merge_samples(lists)
    if not together:
        warn_of_stepless(rows, path)
    return rows


def warn_of_stepless(rows: Sequence[Row], path: RunPath) -> None:
    """Warn of rows without a step: the values that were sampled of one row cannot be joined."""
    alone = sum(step_of(row) is None for row in rows)
    if alone:
        message = f"run {str(path)!r}: {alone} sampled rows have no usable _step, so each stands by itself"
        warn(SampledWarning(message))


def warn_of_gaps(keys: Sequence[str], samples: int) -> None:
    """Warn of keys that were thinned out, each apart from the others."""
    if keys:
        names = ", ".join(map(repr, keys))
        message = (
            f"{names}: each was sampled apart from the others, up to {samples} rows; a row without a value of"
            " such a key may have one on the server. Ask for more samples, or for every row (without samples)"
        )
        warn(SampledWarning(message))


def make_sample_specs(
    keys: Iterable[str], samples: int, min_step: int, max_step: int | None, *, together: bool = False
) -> list[str]:
    """Return the specs that bring a sample of `keys`: one for each metric, or one for all of them.

    Raises:
        UsageError: no key, no sample, or a range of steps that holds none.
    """
    listed = check_keys(keys) or ()
    if not 1 <= samples <= MAX_SAMPLES:
        raise UsageError(f"samples must be from 1 to {MAX_SAMPLES}, not {samples!r}")
    check_range(min_step, max_step)
    return make_specs(listed, samples=samples, min_step=min_step, max_step=max_step, together=together)
