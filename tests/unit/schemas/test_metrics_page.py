from schemas.metrics import METRICS
from schemas.metrics_page import metrics_page


def test_the_metrics_page_has_a_row_for_every_metric() -> None:
    rows = [line for line in metrics_page().splitlines() if line.startswith("| `undertone_")]
    named = [row.split("`")[1] for row in rows]
    assert named[: len(METRICS)] == [metric.name for metric in METRICS]
