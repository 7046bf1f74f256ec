"""The data of a person's chart: every memo, the breaks, the alerts with the agent's numbers."""

from streams.web.charts.palette import LIGHT
from streams.web.charts.person_series import NOT_JUDGED_Y, person_series
from tests.unit.streams.scores import START
from tests.unit.streams.web.charts.shown import END, READER, SPANS, STEPS, changed, column

NAN = {"type": "number", "value": "nan"}
FOUND = person_series(changed(), SPANS, STEPS, READER)


def test_every_memo_is_a_point_and_one_without_a_score_stands_below_the_axis_with_its_reason() -> None:
    memos = changed().memos
    assert len(column(FOUND["memos"], "at")) == len(memos) == 27
    (unjudged,) = (i for i, memo in enumerate(memos) if memo.score.probability is None)
    assert column(FOUND["memos"], "y")[unjudged] == NOT_JUDGED_Y
    assert column(FOUND["memos"], "shape")[unjudged] == "x"
    assert "not judged" in column(FOUND["memos"], "why")[unjudged]
    assert column(FOUND["memos"], "what")[unjudged] == "–"


def test_lines_break_at_the_gap_and_at_the_other_bundle() -> None:
    line = column(FOUND["line"], "score")
    assert [i for i, value in enumerate(line) if value == NAN] == [8, 15, 28]
    assert [len(times) for times in column(FOUND["normal"], "times")] == [12, 8, 24]
    assert column(FOUND["bundles"], "at") == [READER.axis(changed().bundles[0].at)]
    assert len(column(FOUND["gaps"], "since")) == 1


def test_the_band_goes_along_its_lower_edge_and_back_along_the_upper_one() -> None:
    first = column(FOUND["normal"], "edges")[0]
    lower, upper = first[: len(first) // 2], first[len(first) // 2 :][::-1]
    assert all(low < high for low, high in zip(lower, upper, strict=True))


def test_the_hover_box_names_the_strongest_markers_with_deviation_and_contribution() -> None:
    assert column(FOUND["memos"], "first")[-1] == "pause share +7.5 SD (+0.80)"
    assert column(FOUND["memos"], "second")[-1] == "clearness of voice −1.5 SD (−0.20)"
    assert column(FOUND["memos"], "third")[-1] == "new marker +1.2 SD"
    assert column(FOUND["memos"], "first")[0] == ""


def test_an_alert_stands_where_the_agent_saw_it_and_within_the_axis() -> None:
    (height,) = column(FOUND["steps"], "statistic")
    assert height <= FOUND["statistic_range"]["end"]
    assert column(FOUND["steps"], "numbers") == ["6.5 of 6.2"]
    assert column(FOUND["steps"], "colour") == [LIGHT.critical]


def test_a_critical_episode_is_hatched_and_an_open_one_reaches_the_end() -> None:
    assert column(FOUND["episodes"], "hatch") == ["left_diagonal_line"]
    assert column(FOUND["episodes"], "until") == [READER.axis(END)]


def test_lanes_are_cut_to_what_is_shown_and_leave_out_what_was_before() -> None:
    assert column(FOUND["bars"], "lane") == ["Model", "Context", "Episode"]
    assert column(FOUND["bars"], "since")[1] == READER.axis(START)
    assert column(FOUND["labels"], "text") == ["demo-1", "travel", "a change"]
    assert column(FOUND["bars"], "times")[2].endswith("– ")
