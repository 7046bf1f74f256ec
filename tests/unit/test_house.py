"""The habits of the house that no other tool checks."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent.parent


def test_hooks_are_local_and_call_what_make_check_calls() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    entries = [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]]
    makefile = (ROOT / "Makefile").read_text().replace("$(BIN)", ".venv/bin")
    for entry in entries:
        tool = " ".join(part for part in entry.split() if not part.startswith("--"))
        assert tool in makefile, f"{tool} is no part of make check"


def test_pinned_requirements_record_hashes_and_no_addresses() -> None:
    files = sorted((ROOT / "deploy" / "requirements").glob("*.txt"))
    assert files
    for path in files:
        text = path.read_text()
        assert "://" not in text
        assert "--index-url" not in text
        assert text.count("==") <= text.count("--hash=sha256:")


def test_every_target_of_the_makefile_has_its_line_of_help() -> None:
    text = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    helped = re.findall(r"^([a-z0-9-]+):.*## \S", text, re.MULTILINE)
    assert sorted(phony.split()) == sorted(helped)
