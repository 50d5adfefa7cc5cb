"""The parts of the benchmarks that judge and draw, and that names in one place are known in the other."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from benchmarks import plot
from benchmarks.bench import Row
from benchmarks.goals import GOALS, Figure, Goal
from benchmarks.peers import NAMES
from benchmarks.report import Column, Table, render
from benchmarks.scenarios import SCENARIOS

GOAL = Goal("speed", "cpu", "ours against theirs", Figure("ours", "cpu_us"), 1.5, Figure("theirs", "cpu_us"))


def row(peer: str, cpu_us: float, load: str = "", errors: int = 0) -> Row:
    return Row(peer, load, {"cpu_us": cpu_us}, [{"cpu_us": cpu_us, "errors": errors}])


def table(*rows: Row) -> Table:
    return Table("cpu", "The <title>", (Column("cpu_us", "CPU", ".1f"),), list(rows), plotted="cpu_us")


@pytest.mark.parametrize(("ours", "met"), [(15.0, True), (15.1, False)])
def test_goal_compares_two_figures_of_one_run(ours: float, met: bool) -> None:
    """A goal is met up to its limit, and not above it."""
    assert GOAL.judge([row("ours", ours), row("theirs", 10.0)]).met is met


def test_missing_figure_falls_short() -> None:
    """What could not be measured is not met, and is said to be missing."""
    verdict = GOAL.judge([row("ours", 1.0)])

    assert not verdict.met
    assert verdict.describe() == "FALL SHORT  ours against theirs: not measured (at most 1.5 x)"


def test_failed_requests_spoil_a_good_figure() -> None:
    """A figure within its limit does not count if a request failed on the way to it."""
    verdict = GOAL.judge([row("ours", 1.0, errors=3), row("theirs", 10.0)])

    assert not verdict.met
    assert verdict.describe().endswith("but 3 requests failed")


def test_two_figures_are_compared_round_by_round() -> None:
    """A machine that was slow in one round was so for both; the medians may be of different rounds."""

    def paced(peer: str, *figures: float) -> Row:
        return Row(peer, "", {"cpu_us": sorted(figures)[1]}, [{"cpu_us": figure} for figure in figures])

    verdict = GOAL.judge([paced("ours", 5.0, 20.0, 30.0), paced("theirs", 10.0, 50.0, 40.0)])

    assert verdict.value == 0.5


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: f"{goal.level}, {goal.text}")
def test_goal_is_about_what_exists(goal: Goal) -> None:
    """The scenario of a goal, and the servers that it compares, are known."""
    assert goal.scenario in SCENARIOS
    assert {figure.peer for figure in goal.figures} <= {*NAMES, "import workerkit"}


def test_plot_has_a_bar_for_each_figure() -> None:
    """Each row with a figure has a bar, a row without one has none, and names are escaped."""
    drawn = plot.bars(table(row("ours", 10, "a load"), row("theirs", 20, "a load"), Row("gone", "a load", {})))
    texts = [element.text for element in ET.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")]

    assert texts == ["The <title>", "CPU", "a load", "ours", "10.0", "theirs", "20.0"]


def test_table_says_why_a_row_is_empty() -> None:
    """Under the table stands the reason of a row without figures, once for all its loads."""
    why = [Row("theirs", load, {}, note="not installed") for load in ("first", "second")]

    assert render(table(row("ours", 1), *why)).splitlines()[-1] == "  theirs, first, second: not installed"
