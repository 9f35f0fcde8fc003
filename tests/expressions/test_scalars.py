"""Wire scalars: NaN in JSON text, instants, storage ids."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wbgql.scalars import (
    dump_json,
    format_datetime,
    make_run_storage_id,
    parse_datetime,
    parse_json,
    parse_run_storage_id,
)


def test_parse_json_reads_the_bare_nan_the_sdk_writes() -> None:
    values = parse_json('{"loss": NaN, "up": Infinity, "down": -Infinity, "acc": 0.5}')

    assert math.isnan(values["loss"])
    assert (values["up"], values["down"], values["acc"]) == (math.inf, -math.inf, 0.5)


def test_parse_json_refuses_what_is_not_json() -> None:
    with pytest.raises(ValueError):
        parse_json("{loss: 1}")


def test_dump_json_writes_the_strings_the_server_stores() -> None:
    assert (
        dump_json({"a": math.nan, "b": [math.inf, -math.inf]}) == '{"a":"NaN","b":["Infinity","-Infinity"]}'
    )


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_survives_the_wire(instant: datetime) -> None:
    text = format_datetime(instant)

    assert text.endswith("Z")
    assert parse_datetime(text) == instant


def test_an_instant_of_another_zone_is_sent_as_utc() -> None:
    instant = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))

    assert format_datetime(instant) == "2025-12-31T23:00:00Z"


def test_an_instant_without_a_zone_is_read_as_utc_and_never_sent() -> None:
    assert parse_datetime("2023-11-05T17:46:35") == datetime(2023, 11, 5, 17, 46, 35, tzinfo=UTC)
    with pytest.raises(ValueError, match="no time zone"):
        format_datetime(datetime(2026, 1, 1))


names = st.text(st.characters(blacklist_characters=":", blacklist_categories=["Cs"]), min_size=1)


@given(names, names, st.text(st.characters(blacklist_categories=["Cs"]), min_size=1))
def test_a_storage_id_gives_back_what_it_was_made_of(entity: str, project: str, run_id: str) -> None:
    assert parse_run_storage_id(make_run_storage_id(entity, project, run_id)) == (entity, project, run_id)


@pytest.mark.parametrize("text", ["", "r1", "UHJvamVjdDp2MTphOmI=", "!!", "UnVuOnYxOmE="])
def test_what_is_no_storage_id_gives_none(text: str) -> None:
    assert parse_run_storage_id(text) is None


def test_numbers_of_numpy_are_written_as_pythons() -> None:
    values = {
        "a": np.float32(0.5),
        "b": np.int64(3),
        "c": np.bool_(True),
        "d": [np.float64("nan")],
        "e": np.array(2),
    }

    assert dump_json(values) == '{"a":0.5,"b":3,"c":true,"d":["NaN"],"e":2}'
    with pytest.raises(TypeError):
        dump_json(np.array([1, 2]))
