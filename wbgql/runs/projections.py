"""Which config and summary keys travel, and how their texts are read. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import msgspec

from wbgql.expressions import FieldPath
from wbgql.frames.decoding import UNNAMEABLE, unwrap
from wbgql.scalars import (
    MAX_LEVELS,
    from_safe_json,
    holds_non_finite,
    is_deeper,
    may_be_deeper,
    parse_json,
)

Decode = Callable[[str], dict[str, Any]]

# These travel only if they are asked for; the other attributes are in every list. A server may lack them.
DETAILS = {"host": "Run.host", "duration_s": "Run.computeSeconds", "updated_at": "Run.updatedAt"}
# Notes may be long, so they do not travel with the other details.
_NOTES = "notes"
# These always travel.
_ALWAYS = frozenset({"id", "created_at"})


@dataclass(frozen=True, slots=True)
class Projection:
    """Top-level keys of config and summary; None stands for all of a section, () for none of it.

    `parts`: the attributes that lists usually bring; `details` and `notes`: those they bring if asked.
    """

    config: tuple[str, ...] | None = ()
    summary: tuple[str, ...] | None = ()
    details: bool = False
    parts: bool = False
    notes: bool = False

    @classmethod
    def of(cls, paths: Iterable[FieldPath]) -> Projection:
        """What holds the values at `paths`."""
        listed = list(paths)
        attributes = {path.parts[0] for path in listed if path.section == "run"}
        return cls(
            _top_keys(listed, "config"),
            _top_keys(listed, "summary"),
            details=bool(attributes & DETAILS.keys()),
            parts=bool(attributes - DETAILS.keys() - _ALWAYS - {_NOTES}),
            notes=_NOTES in attributes,
        )

    def __or__(self, other: Projection) -> Projection:
        return Projection(
            _union(self.config, other.config),
            _union(self.summary, other.summary),
            self.details or other.details,
            self.parts or other.parts,
            self.notes or other.notes,
        )

    def widened(self, paths: Iterable[FieldPath]) -> Projection:
        """With all of each section in which a path has a dot in a key.

        How a server reads such a key in `keys` is not documented (the SDL has a `dotBehavior`).
        """
        sections = {path.section for path in paths if path.dotted is not None}
        return replace(
            self,
            config=None if "config" in sections else self.config,
            summary=None if "summary" in sections else self.summary,
        )

    @property
    def is_partial(self) -> bool:
        """Whether some keys of a section are asked for and others are not."""
        return bool(self.config) or bool(self.summary)

    def variables(self) -> dict[str, Any]:
        """Variables of a page's operation."""
        return {
            "withConfig": self.config != (),
            "withSummary": self.summary != (),
            "withDetails": self.details,
            "withParts": self.parts,
            "withNotes": self.notes,
            "configKeys": list(self.config) if self.config else None,
            "summaryKeys": list(self.summary) if self.summary else None,
        }

    def read_config(self, text: str) -> dict[str, Any]:
        """The asked keys of a config text, without W&B's wrapper and its internal `_wandb`.

        The texts that W&B stores for NaN and infinities become floats, here and in a summary.
        """
        wrapped = decoder_of(self.config)(text)
        found = {key: unwrap(value) for key, value in wrapped.items() if key != "_wandb"}
        return from_safe_json(found) if holds_non_finite(text) else found

    def read_summary(self, text: str) -> dict[str, Any]:
        """The asked keys of a summary text."""
        found = decoder_of(self.summary)(text)
        return from_safe_json(found) if holds_non_finite(text) else found


NOTHING = Projection()
EVERYTHING = Projection(None, None, details=True, parts=True, notes=True)


@lru_cache(maxsize=256)
def decoder_of(keys: tuple[str, ...] | None) -> Decode:
    """Return what reads `keys` of a JSON text and skips the others; None reads all.

    A text that holds a bare NaN is read whole, by the standard library. A key with a dot is
    looked up as it is and as the nesting that some servers make of it.
    """
    if keys is None:
        return _read_object
    wanted = tuple(dict.fromkeys(name for key in keys for name in (key, key.partition(".")[0]) if name))
    if any(map(UNNAMEABLE.search, wanted)):
        return lambda text: _picked(_read_object(text), wanted)
    names = {f"k{index}": key for index, key in enumerate(wanted)}
    kind: Any = msgspec.defstruct(
        "Keys", [(name, Any, msgspec.UNSET) for name in names], rename=names, gc=False
    )
    quick = msgspec.json.Decoder(kind)

    def decode(text: str) -> dict[str, Any]:
        try:
            found = quick.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return _picked(_read_object(text), wanted)
        values = ((key, getattr(found, name)) for name, key in names.items())
        picked = {key: value for key, value in values if value is not msgspec.UNSET}
        if may_be_deeper(text, MAX_LEVELS) and is_deeper(picked, MAX_LEVELS):
            raise ValueError(f"nested deeper than {MAX_LEVELS} levels")
        return picked

    return decode


def unasked_keys(text: str, keys: Sequence[str]) -> list[str]:
    """Top-level keys of a JSON object that were not asked for, without `_wandb`; none if it is no object."""
    asked = {name for key in keys for name in (key, key.partition(".")[0])}
    try:
        found = _read_object(text)
    except ValueError:  # reading the section says so
        return []
    return [key for key in found if key not in asked and key != "_wandb"]


def _read_object(text: str) -> dict[str, Any]:
    """The object that a section's text holds; JSON's null is an empty one.

    Raises:
        ValueError: the text is not JSON, or holds something else.
    """
    value = parse_json(text)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004  # of text, as what is no JSON at all
    return value


def _picked(whole: dict[str, Any], wanted: Iterable[str]) -> dict[str, Any]:
    return {key: whole[key] for key in wanted if key in whole}


def _top_keys(paths: Iterable[FieldPath], section: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path.parts[0] for path in paths if path.section == section))


def _union(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if one is None or other is None else tuple(dict.fromkeys((*one, *other)))
