"""Views of one run: what it logged, its console, files and artifacts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wbgql.errors import NotFound
from wbgql.scalars import parse_json
from wbgql.server.artifacts import logging as artifacts_logging
from wbgql.server.artifacts import nodes as artifacts
from wbgql.server.pages import series, values
from wbgql.server.pages.artifact_views import to_version
from wbgql.server.pages.charts import COLORS, Chart, draw
from wbgql.server.pages.project_views import find_deleted, purge_time
from wbgql.server.pages.visits import Answer, Content, Page, Visit, turn_pages
from wbgql.server.runs import console, files, lines
from wbgql.server.runs import rows as runs
from wbgql.server.runs.values import unwrap
from wbgql.server.store.database import Connection, Row, row

# Console lines with their terminal colours, as pieces that a template may write.

# Other sequences move the cursor or set a title: nothing to show on a page.
_ESCAPE = re.compile(
    r"\x1b\[(?P<codes>[0-9;]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.?"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_BOLD, _PLAIN_WEIGHT, _PLAIN_COLOR = 1, 22, 39


@dataclass(frozen=True)
class Piece:
    """Text in one style. `style` is names of the style sheet: "bold", "color-1" to "color-15"."""

    text: str
    style: str = ""


def to_pieces(line: str) -> list[Piece]:
    """Take a line apart at its colour codes; other control characters are dropped."""
    pieces: list[Piece] = []
    bold, color, position = False, "", 0
    for match in _ESCAPE.finditer(line):
        _add(pieces, line[position : match.start()], bold, color)
        position = match.end()
        if match["codes"] is not None:
            bold, color = _apply(match["codes"], bold, color)
    _add(pieces, line[position:], bold, color)
    return pieces


def _add(pieces: list[Piece], text: str, bold: bool, color: str) -> None:
    text = _CONTROL.sub("", text)
    if text:
        pieces.append(Piece(text, " ".join(name for name in ("bold" if bold else "", color) if name)))


def _apply(codes: str, bold: bool, color: str) -> tuple[bool, str]:
    numbers = [int(code or 0) for code in codes.split(";") if len(code) < 4]
    if numbers[:1] in ([38], [48]):
        # 256 and 24-bit colours: their numbers are not codes of their own.
        return bold, color
    for code in numbers:
        if code == 0:
            bold, color = False, ""
        elif code == _BOLD:
            bold = True
        elif code == _PLAIN_WEIGHT:
            bold = False
        elif code == _PLAIN_COLOR:
            color = ""
        elif 31 <= code <= 37:
            color = f"color-{code - 30}"
        elif 91 <= code <= 97:
            color = f"color-{code - 82}"
    return bold, color


CHARTS_A_PAGE = 24
SYSTEM_CHARTS = 60
LINES_A_PAGE = 1000
FILES_A_PAGE = 200
ARTIFACTS_SHOWN = 200
AXES = {"_step": "step", "_runtime": "seconds since the start", "_timestamp": "time (UTC)"}
_DEVICE = re.compile(r"(?<=\.)(?:\d+|/[^.]*)(?=\.)")


def of_run(view: Callable[[Visit, Row], Answer]) -> Callable[[Visit], Answer]:
    """A view of the run in the path; of one that is not there, a page that says so."""

    def show(visit: Visit) -> Answer:
        project, name = visit.project(), visit.path["run"]
        run = runs.find_run(visit.context, project, name)
        return _missing(visit, project, name) if run is None else view(visit, run)

    return show


def _missing(visit: Visit, project: Row, name: str) -> Page:
    """Who may restore a deleted run is told when it was deleted; for all others it never was."""
    found = find_deleted(visit.context, project, name)
    shown = found and found | {"purgeAt": purge_time(visit.context, found["deletedAt"])}
    return Page("run_missing.html", {"project": project, "run": shown, "name": name}, 404)


def charts(visit: Visit, run: Row) -> Page:
    """Config, summary and a chart for each metric: the page behind the URL that the SDK prints."""
    db = visit.context.db
    search = visit.query.get("q", "").strip()
    keys = [key for key in series.list_keys(db, run) if search.casefold() in key.casefold()]
    axes = AXES | {key: key for key in series.list_axes(db, run)}
    x, log = visit.query.get("x", series.STEP), visit.query.get("y") == "log"
    x = x if x in axes else series.STEP
    offset = (visit.page_number() - 1) * CHARTS_A_PAGE
    shown = keys[offset : offset + CHARTS_A_PAGE]
    reading = series.read(series.history_of(db, run), shown, x) if shown else None
    drawn = {line.key: draw(line.key, [line], x=x, log=log) for line in reading.lines} if reading else {}
    config, summary = map(_readable, _texts(db, run))
    return _page(
        visit,
        run,
        "charts",
        "run_charts.html",
        sections=_sections([chart for chart in drawn.values() if chart is not None]),
        blank=[key for key, chart in drawn.items() if chart is None],
        reading=reading,
        count=len(keys),
        search=search,
        axes=axes,
        x=x,
        log=log,
        summary=values.to_entries(summary, search),
        config=values.to_entries({key: unwrap(item) for key, item in config.items()}, search),
        pager=turn_pages(
            visit, CHARTS_A_PAGE, shown=len(shown), more=offset + len(shown) < len(keys), total=len(keys)
        ),
    )


def _texts(db: Connection, run: Row) -> tuple[str | None, str | None]:
    found = row(db, "SELECT config, summary FROM run_texts WHERE run_id = ?", (run["pk"],))
    return (None, None) if found is None else (found["config"], found["summary"])


def _readable(text: str | None) -> dict[str, Any]:
    """The values of a config or summary; of one that cannot be read, from an earlier version, its text."""
    try:
        found = parse_json(text or "{}")
    except ValueError as error:
        return {f"(not shown: {error})": text}
    return found if isinstance(found, dict) else {"(not an object)": text}


def _sections(drawn: Sequence[Chart]) -> dict[str, list[Chart]]:
    """Charts by what stands before the first slash of their names, as the SDK's users group metrics."""
    found: dict[str, list[Chart]] = {}
    for chart in drawn:
        head, slash, _ = chart.title.partition("/")
        found.setdefault(head if slash else "", []).append(chart)
    return found


def system(visit: Visit, run: Row) -> Page:
    """System metrics; the devices of a machine share a chart."""
    db = visit.context.db
    stream = series.events_of(db, run)
    text = db.execute("SELECT system_metrics FROM run_texts WHERE run_id = ?", (run["pk"],)).get
    last = lines.parse_row(text or "{}")
    keys = sorted(key for key, value in last.items() if not key.startswith("_") and _is_number(value))
    groups: dict[str, list[str]] = {}
    for key in keys:
        groups.setdefault(_DEVICE.sub("*", key), []).append(key)
    wanted = dict(list(groups.items())[:SYSTEM_CHARTS])
    reading = series.read(stream, [key for group in wanted.values() for key in group[:COLORS]], "_timestamp")
    drawn_from = {line.key: line for line in reading.lines}
    drawn = [_draw_group(title, group, drawn_from) for title, group in wanted.items()]
    return _page(
        visit,
        run,
        "system",
        "run_system.html",
        charts=[chart for chart in drawn if chart is not None],
        reading=reading,
        hidden=len(groups) - len(wanted),
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _draw_group(title: str, keys: Sequence[str], found: dict[str, series.Line]) -> Chart | None:
    alone = len(keys) == 1
    shown = keys[:COLORS]
    names = [" ".join(_DEVICE.findall(key)) for key in shown]
    label = (keys[0] if alone else title).removeprefix("system.")
    return draw(label, [found[key] for key in shown], x="_timestamp", names=names)


def logs(visit: Visit, run: Row) -> Page:
    """Console output, a thousand lines at a time, the last ones first."""
    count = lines.count(visit.context.db, run["pk"], lines.CONSOLE)
    pages = max(1, -(-count // LINES_A_PAGE))
    number = visit.page_number() if "page" in visit.query else pages
    found = console.read(visit.context.db, run["pk"], (number - 1) * LINES_A_PAGE, LINES_A_PAGE)
    pager = turn_pages(visit, LINES_A_PAGE, shown=len(found), more=number < pages, total=count, number=number)
    shown = [line | {"pieces": to_pieces(line["line"])} for line in found]
    return _page(visit, run, "logs", "run_logs.html", lines=shown, pager=pager)


def run_files(visit: Visit, run: Row) -> Page:
    """The files of a run."""
    db = visit.context.db
    offset = (visit.page_number() - 1) * FILES_A_PAGE
    found = files.list_files(db, run["pk"], limit=FILES_A_PAGE + 1, offset=offset)
    shown, total = found[:FILES_A_PAGE], files.count_files(db, run["pk"])
    pager = turn_pages(visit, FILES_A_PAGE, shown=len(shown), more=len(found) > FILES_A_PAGE, total=total)
    return _page(visit, run, "files", "run_files.html", files=shown, pager=pager)


def run_file(visit: Visit, run: Row) -> Content:
    """One file of a run, `?name=`, to be saved.

    Raises:
        NotFound: no such file, or it was never uploaded.
    """
    name = visit.query.get("name", "")
    found = files.find_file(visit.context.db, run["pk"], name)
    if found is None or found["blob"] is None:
        raise NotFound(f"there is no file {name} in this run", status=404)
    return Content(found)


def run_artifacts(visit: Visit, run: Row) -> Page:
    """The versions that a run logged and used."""
    context = visit.context
    found = {
        role: artifacts.list_versions(context, artifacts.of_run(run["pk"], role), limit=ARTIFACTS_SHOWN)
        for role in (artifacts_logging.OUTPUT, artifacts_logging.INPUT)
    }
    shown = {role: [to_version(visit, one) for one in versions] for role, versions in found.items()}
    return _page(
        visit,
        run,
        "artifacts",
        "run_artifacts.html",
        logged=shown[artifacts_logging.OUTPUT],
        used=shown[artifacts_logging.INPUT],
        limit=ARTIFACTS_SHOWN,
    )


def _page(visit: Visit, run: Row, tab: str, template: str, **more: Any) -> Page:
    db = visit.context.db
    counts = {"logs": lines.count(db, run["pk"], lines.CONSOLE), "files": files.count_files(db, run["pk"])}
    return Page(template, {"run": run, "project": run["project"], "tab": tab, "counts": counts, **more})
