import ast
from pathlib import Path

from schemas.pipeline import MODALITIES
from schemas.reasons import ABSTENTIONS, OTHER, label_of

ROOT = Path(__file__).parent.parent.parent.parent


def test_every_reason_that_the_code_gives_is_in_the_table() -> None:
    found = {
        node.value
        for package in ("workers", "streams")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if node.value.startswith("quality:") and node.value != "quality:"
    }
    assert len(found) >= 5
    assert found <= set(ABSTENTIONS), "add a row to ABSTENTIONS"
    assert {f"missing:{modality}" for modality in MODALITIES} <= set(ABSTENTIONS)


def test_a_reason_is_its_own_label_or_other() -> None:
    assert all(label_of(reason) == reason for reason in ABSTENTIONS)
    assert label_of("quality:" + "x" * 100) == label_of("") == label_of("Quality:noisy") == OTHER
