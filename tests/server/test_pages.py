"""What pages show of projects and runs."""

from __future__ import annotations

import json
import math
from urllib.parse import urlsplit

import pytest

from tests.server.html_pages import PNG, admin_of, fill, runs_page
from wbgql.server.pages import series
from wbgql.server.pages.run_views import CHARTS_A_PAGE


@pytest.fixture
def visitor(local_server):
    """The admin, who owns the world's project."""
    return admin_of(local_server)


# ---- projects and the table of runs ----


def test_projects_are_listed_with_their_runs(world, visitor):
    fill(world, 2)

    rows = {row[0]: row for row in visitor.open("/admin").rows()}

    assert rows[world.project][1:3] == ["2", "2"]
    assert f"/{world.path}" in [urlsplit(one).path for one in visitor.open("/").links()]


def test_the_table_shows_newest_first_with_columns_that_tell_runs_apart(world, visitor):
    fill(world)

    page = visitor.open(f"/{world.path}")

    assert [row[0] for row in page.rows()] == ["run 3 r3", "run 2 r2", "run 1 r1", "run 0 r0"]
    heads = [one.attributes.get("title") for one in page.all("th", class_="chosen")]
    assert heads == [
        'config["lr"]',
        'config["net"]["depth"]',
        'summary["a.b"]',
        'summary["loss"]',
        'summary["val/acc"]',
    ]
    assert page.rows()[0][1:] == [
        "running",
        "admin",
        "just now",
        "1 min 5 s",
        "best",
        "0.3",
        "3",
        "3",
        "1",
        "0.75",
    ]


def test_the_filter_box_sorts_out_and_the_address_holds_it(world, visitor):
    fill(world)

    page = visitor.open(
        runs_page(
            world.path, where='summary["val/acc"] > 0.2 and "best" not in tags', order='+summary["val/acc"]'
        )
    )

    assert [row[0] for row in page.rows()] == ["run 1 r1", "run 2 r2"]
    (box,) = page.all("input", name="where", spellcheck="false")
    assert box.attributes["value"] == 'summary["val/acc"] > 0.2 and "best" not in tags'
    (head,) = page.all("th", aria_sort="ascending")
    assert head.attributes["title"] == 'summary["val/acc"]'


def test_columns_are_chosen_and_sorted_by_links(world, visitor):
    fill(world)
    page = visitor.open(
        runs_page(world.path, select=['summary["a.b"]', 'config["lr"]', "run.group"], where="state != None")
    )
    assert page.rows()[0][6:] == ["3", "0.3", "\u2013"]

    by_label = {one.text: one.attributes["href"] for one in page.all("a")}
    assert "a.b" not in by_label, "a dot in a name reads as nesting, so nothing can be sorted by it"
    up_and_down = visitor.open(f"/{world.path}{by_label['lr']}")
    down = {one.text: one.attributes["href"] for one in up_and_down.all("a")}["lr"]

    assert [row[7] for row in up_and_down.rows()] == ["0.3", "0.2", "0.1", "0"]
    assert [row[7] for row in visitor.open(f"/{world.path}{down}").rows()] == ["0", "0.1", "0.2", "0.3"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"where": "summary.x > 1"}, 'write summary["x"]'),
        ({"where": "state = 1"}, "write == to compare"),
        ({"where": "(" * 500}, ""),
        ({"order": "-state"}, "the server cannot sort by it"),
        ({"select": "nonsense["}, ""),
        ({"select": "run.state"}, "is in the table already"),
        ({"select": [f'config["k{number}"]' for number in range(60)]}, "60 columns"),
        ({"page": "0"}, "not the number of a page"),
        ({"page": "٣"}, "not the number of a page"),
    ],
)
def test_a_mistake_is_answered_with_what_to_write(world, visitor, query, said):
    fill(world, 1)

    page = visitor.open(runs_page(world.path, **query), 400)

    assert said in page.text
    assert page.all("input", name="where") or "page" in query


def test_a_table_has_pages(world, visitor):
    fill(world, 53)

    first = visitor.open(f"/{world.path}")
    (following,) = first.all("a", rel="next")[:1]
    second = visitor.open(f"/{world.path}{following.attributes['href']}")

    assert len(first.rows()) == 50
    assert "runs 1\u201350 of 53" in first.text
    assert [row[0] for row in second.rows()] == ["run 2 r2", "run 1 r1", "run 0 r0"]
    assert not second.all("a", rel="next")


def test_an_empty_project_says_how_to_log(world, visitor):
    world.run("only")
    world.delete_run("only")

    assert f'project="{world.project}"' in visitor.open(f"/{world.path}").text
    assert "No run matches" in visitor.open(runs_page(world.path, where='state == "failed"')).text


# ---- one run ----


def test_the_url_that_the_sdk_prints_shows_the_run(world, visitor):
    fill(world, 1)
    rows = [
        {"_step": step, "loss": 1 / (step + 1), "val/acc": step / 9, "net": {"norm": step}}
        for step in range(9)
    ]
    rows.append({"_step": 9, "loss": math.nan, "text": "x"})
    world.caller.log(world.project, "r0", *rows)
    world.caller.stream(
        world.project,
        "r0",
        files={
            "wandb-summary.json": {
                "content": [
                    json.dumps(
                        {
                            "loss": 0.1,
                            "net": {"norm": 8},
                            "img": {"_type": "image-file", "path": "media/a b.png"},
                            "hist": {"_type": "histogram", "values": [1, 2, 3]},
                        }
                    )
                ]
            }
        },
    )
    world.store("r0", {"media/a b.png": PNG})

    page = visitor.open(f"/{world.path}/runs/r0")

    assert [
        one.attributes["aria-label"] for one in page.all("svg", role="img") if "data-scale" in one.attributes
    ] == [
        "loss",
        "net.norm",
        "val/acc",
    ]
    drawn = [one for one in page.all("path") if (one.attributes.get("d") or "").count("L") == 8]
    assert len(drawn) == 3
    values = dict(
        zip([one.text for one in page.all("dt")], [one.text.strip() for one in page.all("dd")], strict=True)
    )
    assert values["net.norm"] == "8"
    assert values["lr"] == "0"
    assert page.all("svg", class_="bars")
    pictures = [one.attributes["src"] for one in page.all("img", loading="lazy")]
    assert [visitor.fetch(one).content for one in pictures] == [PNG]


def test_charts_are_found_by_name_scaled_and_drawn_over_other_axes(world, visitor):
    world.run("r0")
    world.caller.log(
        world.project, "r0", *[{"_step": n, "epoch": n // 2, "loss": 10.0**-n, "acc": n} for n in range(6)]
    )
    run = f"/{world.path}/runs/r0"

    found = visitor.open(f"{run}?q=LOSS&x=epoch&y=log")

    (svg,) = found.all("svg", role="img")
    assert svg.attributes["aria-label"] == "loss"
    assert json.loads(svg.attributes["data-scale"])[:2] == [0.0, 2.0]
    assert svg.attributes["data-log"] == "1"
    assert "No metric with such a name" in visitor.open(f"{run}?q=nothing").text
    assert visitor.open(f"{run}?x=nonsense").all("option", selected=None, value="_step")


def test_a_metric_with_nothing_to_draw_is_named(world, visitor):
    world.run("r0")
    rows = [{"_step": n, "below": -n, "broken": math.nan, "loss": 1.0} for n in range(3)]
    world.caller.log(world.project, "r0", *rows)

    linear, logarithmic = (visitor.open(f"/{world.path}/runs/r0?y={y}") for y in ("", "log"))

    assert [one.text.split()[0] for one in linear.all("figcaption")] == ["below", "loss"]
    assert "Nothing to draw for broken." in linear.text
    assert [one.text.split()[0] for one in logarithmic.all("figcaption")] == ["loss"]
    assert "Nothing above zero to draw for below, broken." in logarithmic.text


def test_a_thousand_metrics_come_a_page_at_a_time(world, visitor):
    world.run("r0")
    world.caller.log(
        world.project, "r0", *[{"_step": n, **{f"m{key}": key + n for key in range(1000)}} for n in range(3)]
    )

    page = visitor.open(f"/{world.path}/runs/r0")

    titles = [one.text.split()[0] for one in page.all("figcaption")]
    assert titles == [f"m{number}" for number in range(CHARTS_A_PAGE)]
    assert "of 1,000" in page.text


def test_a_long_history_is_read_in_stretches_and_says_so(world, visitor):
    world.run("r0")
    rows = series.MAX_ROWS + 1000
    for start in range(0, rows, 5000):
        given = [{"_step": n, "loss": n} for n in range(start, min(start + 5000, rows))]
        world.caller.log(world.project, "r0", *given, offset=start)

    page = visitor.open(f"/{world.path}/runs/r0")

    assert f"Drawn from {series.MAX_ROWS:,} of {rows:,} rows" in page.text
    (line,) = page.all("g", class_="line")
    points = json.loads(line.attributes["data-points"])
    assert (points[0], points[-1]) == ([0, 0], [rows - 1, rows - 1])


def test_system_metrics_of_several_devices_share_a_chart(world, visitor):
    world.run("r0")
    lines = [
        json.dumps(
            {"_timestamp": 1.79e9 + n, "system.cpu": n, "system.gpu.0.temp": 40 + n, "system.gpu.1.temp": 50}
        )
        for n in range(4)
    ]
    world.caller.stream(world.project, "r0", files={"wandb-events.jsonl": {"content": lines}})

    page = visitor.open(f"/{world.path}/runs/r0/system")

    assert [one.text.split()[0] for one in page.all("figcaption")] == ["cpu", "gpu.*.temp"]
    assert [one.attributes["data-name"] for one in page.all("g", class_="line")][1:] == ["0", "1"]
    world.run("r1")
    assert "No system metrics" in visitor.open(f"/{world.path}/runs/r1/system").text


def test_console_output_has_its_colours_and_is_shown_from_its_end(world, visitor):
    world.run("r0")
    lines = [f"2026-01-01T00:00:00.000 line {n}" for n in range(1500)]
    lines.append("ERROR 2026-01-01T00:00:00.000 \x1b[31m<b>bad</b>\x1b[0m")
    world.caller.stream(world.project, "r0", files={"output.log": {"content": lines}})

    last = visitor.open(f"/{world.path}/runs/r0/logs")
    first = visitor.open(f"/{world.path}/runs/r0/logs?page=1")

    assert "line 1499" in last.text
    assert "line 999 " not in last.text
    assert [one.text for one in last.all("span", class_="color-1")] == ["<b>bad</b>"]
    assert len(last.all("tr", class_="error")) == 1
    assert "line 999" in first.text
    assert "lines 1\u20131,000 of 1,501" in first.text


def test_console_lines_are_counted_over_gaps(world, visitor):
    world.run("r0")
    for offset in (0, 5000):
        chunk = {"offset": offset, "content": [f"line {offset}"]}
        world.caller.stream(world.project, "r0", files={"output.log": chunk})

    page = visitor.open(f"/{world.path}/runs/r0/logs")

    assert "2 lines" in page.text
    assert [one.text for one in page.all("td") if one.text.startswith("line")] == ["line 0", "line 5000"]


def test_files_are_saved_and_never_shown_as_a_page(world, visitor):
    world.run("r0")
    names = ["a/./b.html", "<script>.txt", "ü &=?#%.bin", "plain.html"]
    world.store("r0", {name: name.encode() for name in names})

    page = visitor.open(f"/{world.path}/runs/r0/files")

    links = {
        one.text: one.attributes["href"] for one in page.all("a") if "file?" in (one.attributes["href"] or "")
    }
    assert sorted(links) == sorted(names)
    for name, address in links.items():
        answer = visitor.fetch(address)
        assert answer.content == name.encode()
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.headers["Content-Security-Policy"] == "sandbox"
        assert answer.headers["Cache-Control"] == "no-store"
    visitor.open(f"/{world.path}/runs/r0/file?name=../../secret", 404)
    visitor.open(f"/{world.path}/runs/r0/file", 404)
