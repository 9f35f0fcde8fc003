"""Config and summary as a list to read: objects flattened, media shown for what they are. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from wbgql.server.pages import formatting
from wbgql.server.runs.values import is_finite

MAX_ENTRIES = 2000
BARS_WIDTH, BARS_HEIGHT = 160, 32
_INTERNAL = "_wandb"


@dataclass(frozen=True)
class Entry:
    """One value. `kind` is number, text, image, file or histogram; `path` is the run's file that holds it."""

    key: str
    text: str
    kind: str = "text"
    path: str = ""
    bars: str = ""


def to_entries(values: dict[str, Any], search: str = "") -> tuple[list[Entry], int]:
    """Entries whose key holds `search`, by key, the SDK's own last; and how many the limit leaves out."""
    found = [(key, value) for key, value in _flatten(values, "") if search.casefold() in key.casefold()]
    found.sort(key=lambda item: formatting.natural(item[0]))
    return [_to_entry(key, value) for key, value in found[:MAX_ENTRIES]], max(0, len(found) - MAX_ENTRIES)


def _flatten(values: dict[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if key == _INTERNAL and not above:
            continue
        if isinstance(value, dict) and value and "_type" not in value and above.count(".") < 20:
            yield from _flatten(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _to_entry(key: str, value: Any) -> Entry:
    if isinstance(value, dict) and "_type" in value:
        return _to_media(key, value)
    if key == "_timestamp" and is_finite(value) and 0 < value < 1e11:
        return Entry(key, f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC")
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return Entry(key, formatting.plain(value), "number" if is_number else "text")


def _to_media(key: str, value: dict[str, Any]) -> Entry:
    kind, path = str(value["_type"]), value.get("path")
    if kind == "histogram":
        bars = _bars(value.get("values"))
        if bars:
            return Entry(
                key,
                f"histogram of {formatting.number(_total(value['values']))} values",
                "histogram",
                bars=bars,
            )
    if isinstance(path, str) and path:
        size = [
            str(value[name])
            for name in ("nrows", "ncols", "width", "height")
            if isinstance(value.get(name), int)
        ]
        text = f"{kind} {' x '.join(size)}".strip()
        return Entry(key, text, "image" if kind == "image-file" else "file", path=path)
    return Entry(key, formatting.plain(value))


def _total(counts: Sequence[float]) -> int | float:
    total = sum(counts)
    return int(total) if is_finite(total) and total == int(total) else total


def _bars(counts: Any) -> str:
    """An SVG path with one bar for each bin; empty if there is nothing to draw."""
    if (
        not isinstance(counts, list)
        or not counts
        or not all(is_finite(count) and count >= 0 for count in counts)
    ):
        return ""
    highest = max(counts)
    if not 0 < highest < 1e300 or len(counts) > 4 * BARS_WIDTH:
        return ""
    width = BARS_WIDTH / len(counts)
    bars = ((index * width, count / highest * BARS_HEIGHT) for index, count in enumerate(counts))
    return "".join(f"M{x:.1f} {BARS_HEIGHT}v{-y:.1f}h{width * 0.86:.1f}V{BARS_HEIGHT}z" for x, y in bars)
