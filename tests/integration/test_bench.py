"""What the benchmarks measure and judge with must itself be right."""

import pathlib
import sys
import time
import xml.etree.ElementTree as xml

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
import check  # noqa: E402
import load  # noqa: E402
import overload  # noqa: E402
import pipelines  # noqa: E402
import plot  # noqa: E402
import servers  # noqa: E402
import table  # noqa: E402


@pytest.mark.parametrize(
    "values, q, expected",
    [([], 0.5, None), ([7], 0.99, 7), ([3, 1, 2], 0.5, 2), (range(1, 101), 0.99, 99)],
)
def test_a_quantile_is_the_smallest_value_that_covers_its_share(values, q, expected):
    assert load.quantile(list(values), q) == expected


@pytest.mark.parametrize("rates, index", [([5, 5, 5], 1), ([9, 0, 0], 1 / 3), ([], None)])
def test_jains_index_is_one_for_equals_and_one_nth_for_one_that_has_it_all(rates, index):
    assert overload.jain(rates) == (index if index is None else pytest.approx(index))


@pytest.mark.parametrize(
    "sessions, rate",
    [
        ([(30, 100), (30, 100)], 5),  # two share 10 per second
        ([(2, 100), (30, 100)], 8),  # the modest one has all it wants
        ([(30, 100), (30, 400)], 2),  # turns are equal, not times
    ],
)
def test_the_fair_rate_is_what_equal_turns_leave(sessions, rate):
    assert overload.fair_rate(sessions, workers=1) == pytest.approx(rate)


def test_a_camera_counts_every_frame_and_ages_run_from_when_it_was_due(streamd):
    srv = streamd("--workers", 1, "--budget", "off", "--pipeline", "slow=delay:ms=30")
    camera = load.Camera(srv.port, "slow", 50)
    run = load.play([camera], seconds=0.5, grace_s=2)
    camera.close()
    assert camera.n_due == len(camera.sent_us) == 25 == len(camera.replies)
    assert {kind for _, _, kind in camera.replies} == {"result", "replaced"}
    run.to_us = time.monotonic_ns()
    ages_us = [age_us for age_us, _, kind in run.replies(camera) if kind == "result"]
    assert min(ages_us) >= 30_000


def test_a_run_whose_generator_was_late_is_not_valid():
    slip_us = [100] * 98 + [load.SLIP_MAX_US + 1] * 2
    assert not load.Run([], 0, 1, slip_us, 0).is_valid()
    assert load.Run([], 0, 1, [load.SLIP_MAX_US] * 100, 0).is_valid()


def test_the_usual_server_never_forgives_a_slow_first_frame():
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    with servers.Usual(0, 1, ["first=delay:first_ms=60"]) as server:
        camera = load.Camera(server.ports[0], "first", 30)
        load.play([camera], seconds=1, grace_s=2)
        camera.close()
    assert [kind for _, _, kind in camera.replies] == ["untold"] * 30
    assert camera.slow_downs == 1


def report(good_per_s):
    point = {
        "valid": True,
        "offered_per_s": 400,
        "answered_per_s": 200,
        "in_budget_per_s": good_per_s,
        "dropped_per_s": {"late": 3, "replaced": 197},
        "age_p50_ms": 20,
        "age_p99_ms": 36,
    }
    curve = {"capacity_per_s": 200, "workers": 2, "work_ms": 10, "sessions": 8, "rounds": 1}
    curve["points"] = {"latest": {"1": [point], "2": [point, {**point, "valid": False}]}}
    return {"budget_ms": 37, "curve": curve}


@pytest.mark.parametrize("good_per_s, is_short", [(190, False), (189, True)])
def test_latest_is_marked_short_more_than_5_percent_below_capacity(good_per_s, is_short):
    row = table.curve_rows(report(good_per_s)["curve"])[0]
    assert row[4].endswith("short**") == is_short
    assert row[5] == "late 3, replaced 197"


def test_tables_go_between_the_markers_and_nowhere_else(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    table.put_into(page, "new\n")
    assert page.read_text() == f"before\n{table.BEGIN}\nnew\n{table.END}\nafter\n"
    page.write_text("no markers\n")
    with pytest.raises(SystemExit):
        table.put_into(page, "new\n")


def test_the_plot_is_well_formed_and_has_no_script_and_no_style():
    names = {e.tag.rpartition("}")[2] for e in xml.fromstring(plot.svg(report(200))).iter()}
    assert names == {"svg", "title", "rect", "line", "text", "polyline", "circle"}


CALLGRIND = """\
version: 1
cmd:  /x/check_scenarios frames
positions: line
events: Ir
summary: 1118

ob=/x/check_scenarios
fl=server/turns.c
fn=turns_take
13 100
cob=/usr/lib/libc.so.6
cfi=???
cfn=memcpy
calls=3 0
14 1000
15 10

ob=/usr/lib/libc.so.6
fl=???
fn=memcpy
0 1000

ob=/x/check_scenarios
fl=server/admit.c
fn=admit_frame
5 8
"""


def test_what_a_callee_took_is_counted_once_and_where_it_was_executed():
    assert check.parse(CALLGRIND.splitlines(True), "/x/check_scenarios") == (118, 1118)


@pytest.mark.parametrize(
    "own, everything, worse, better",
    [
        (100, 1000, 0, 0),
        (105, 1050, 0, 0),
        (106, 1006, 1, 0),
        (100, 1051, 1, 0),
        (95, 950, 0, 0),
        (94, 994, 0, 1),
        (94, 1051, 1, 1),
    ],
)
def test_more_than_5_percent_either_way_is_told(own, everything, worse, better):
    told = check.judge("frames", check.Figures(100, 1000), check.Figures(own, everything))
    assert [len(lines) for lines in told] == [worse, better]


def test_a_scenario_without_figures_fails():
    assert check.judge("new", None, check.Figures(1, 1))[0]


def test_figures_are_read_as_they_were_written():
    figures = {"frames": check.Figures(100, 1000), "split_plain": check.Figures(7, 7)}
    assert check.read(check.write("cc 1, -O2", figures)) == ("cc 1, -O2", figures)


@pytest.mark.parametrize("guess", [0.1, 1, 40, 5000])
@pytest.mark.parametrize("limit", [0, 1, 2, 7, 44, 1000, 2000])
def test_the_search_for_sessions_ends_at_the_largest_number_that_is_kept(limit, guess):
    numbers = pipelines.levels(1000)
    tried = []

    def is_kept(n):
        tried.append(n)
        return n <= limit

    assert pipelines.most(numbers, guess, is_kept) == max([0, *(n for n in numbers if n <= limit)])
    assert len(tried) == len(set(tried)) <= 14


def test_the_numbers_of_sessions_that_are_tried_are_at_most_10_percent_apart():
    numbers = pipelines.levels(1000)
    assert numbers[:12] == list(range(1, 13)) and numbers[-1] == 1000
    assert all(b - a <= max(1, a / 10) for a, b in zip(numbers, numbers[1:]))


@pytest.mark.parametrize(
    "answered, p99_ms, kept",
    [(200, 36.9, True), (198, 36.9, True), (197, 36.9, False), (200, 37, False), (0, None, False)],
)
def test_sessions_are_kept_below_37_ms_and_with_1_percent_not_answered(answered, p99_ms, kept):
    latency = {} if p99_ms is None else {"p99_ms": p99_ms}
    assert pipelines.keeps({"due": 200, "answered": answered, "latency": latency}) == kept


def test_a_row_tells_the_medians_of_its_rounds():
    rounds = [(0.5, 4, 4.5), (0.25, 4.5, 4.75), (0.75, 5, 5.75)]
    row = pipelines.row("face", "640x480", rounds, 5)
    assert row == ("face", "640x480", "0.50 ms", "4.50 ms", "4.75 ms", "5")
    assert pipelines.row("null", "640x480", [(0, 0, 0)], 1000)[-1] == "1000 or more"


@pytest.mark.parametrize("more_ms, is_short", [(0.1, False), (0.11, True)])
def test_a_process_that_costs_too_much_is_marked(more_ms, is_short):
    text = pipelines.process_text([(0, 1, more_ms)] * 5, [(0, 0, 0)] * 5)
    assert (table.SHORT in text) == is_short
