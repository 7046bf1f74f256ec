"""The page about limits names every field."""

from schemas.events import MemoFeatures
from schemas.limits import FIELDS, RECORD_BYTES
from schemas.limits_page import limits_page


def test_every_field_with_a_limit_has_its_row() -> None:
    rows = {line.split("`")[1]: line for line in limits_page().splitlines() if line.startswith("| `")}
    for kind, limits in FIELDS.items():
        for name, limit in limits.items():
            if limit.part is None:
                assert any(path.endswith(f".{name}") and limit.rule in row for path, row in rows.items()), (kind, name)
    assert "a number from 0 to 1" in rows["MemoFeatures.quality.clipped"]
    assert "visible ASCII" in rows["RiskScored.evidence[].name"]
    assert f"{RECORD_BYTES[MemoFeatures]:,}" in rows["MemoFeatures"]
