"""Each test that the page of privacy names exists."""

import ast
from pathlib import Path

import pytest

from streams.reference.privacy_rules import OUTSIDE, RULES, THREATS

ROOT = Path(__file__).parents[4]
NAMED = sorted({row.test for row in RULES if row.test} | {row.test for row in THREATS})


@pytest.mark.parametrize("node", NAMED)
def test_a_test_that_is_named_exists(node: str) -> None:
    path, _, name = node.partition("::")
    functions = {
        each.name
        for each in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert name in functions


def test_every_row_says_all() -> None:
    assert all(row.rule and row.asks and row.mechanism for row in RULES)
    assert all(all(row) for row in THREATS), "a threat without a test is only hoped to be prevented"
    assert all(all(row) for row in OUTSIDE)
    assert len({row.rule for row in RULES}) == len(RULES)
