from pathlib import Path

import pytest

from schemas.generate_docs import DOCS, main, stale


def test_the_documents_in_the_tree_are_what_the_code_says() -> None:
    assert stale(DOCS) == []
    assert main(["--check"]) == 0


def test_a_stale_or_missing_document_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    docs = tmp_path / "docs"
    assert main([], docs) == 0
    assert main(["--check"], docs) == 0
    (docs / "asyncapi.yaml").write_text((docs / "asyncapi.yaml").read_text().replace("risk.scored", "risk.score"))
    (docs / "metrics.md").unlink()
    assert main(["--check"], docs) == 1
    message = capsys.readouterr().err
    assert "docs/asyncapi.yaml is out of date: run `make schemas`" in message
    assert "docs/metrics.md" in message
