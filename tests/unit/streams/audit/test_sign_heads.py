"""The next head, and the heads of several anchors."""

from streams.audit.findings import Kind
from streams.audit.heads import mark_of
from streams.audit.sign_heads import joined, next_head
from tests.unit.streams.audit.trails import SIGNER, TRUSTED, trail


def test_without_new_records_there_is_no_head() -> None:
    assert next_head(None, {}, SIGNER, 0) is None
    assert next_head(trail(12, 2, 0).heads[-1], {0: []}, SIGNER, 0) is None


def test_a_head_continues_the_one_before() -> None:
    first = next_head(None, {1: [(5, mark_of(b"ann", b"one"))]}, SIGNER, 1)
    assert first is not None
    assert (first.head.partitions[1].first, first.head.partitions[1].next) == (5, 6)
    second = next_head(first, {0: [(0, mark_of(b"bob", b"two"))], 1: [(6, mark_of(b"ann", b"three"))]}, SIGNER, 2)
    assert second is not None
    assert (second.head.number, second.head.events, second.head.previous) == (2, 3, first.digest)
    assert second.head.partitions[1].first == 6
    assert second.head.partitions[1].digest != first.head.partitions[1].digest


def test_an_anchor_that_is_some_heads_behind_is_no_fault_unless_it_is_the_first() -> None:
    lines = [head.line() for head in trail(24, 4, 0).heads]
    heads, found = joined({"file": lines, "s3": lines[:-2]}, TRUSTED)
    assert ([head.line() for head in heads], found) == (lines, [])
    heads, found = joined({"file": lines[:-2], "s3": lines}, TRUSTED)
    assert [head.line() for head in heads] == lines
    assert [(each.kind, each.head) for each in found] == [(Kind.CUT, len(lines) - 1)]


def test_a_head_of_a_key_that_is_not_trusted_is_not_used() -> None:
    lines = [head.line() for head in trail(24, 4, 0).heads]
    heads, found = joined({"file": lines}, type(TRUSTED)({}))
    assert heads == []
    assert {each.kind for each in found} == {Kind.UNSIGNED}


def test_two_heads_of_one_number_are_a_fork() -> None:
    one, other = trail(24, 4, 0, seed=1), trail(24, 4, 0, seed=2)
    lines = [head.line() for head in one.heads]
    _, found = joined({"file": lines, "s3": [*lines[:-1], other.heads[-1].line()]}, TRUSTED)
    assert [(each.kind, each.head) for each in found] == [(Kind.FORKED, len(lines))]
    _, found = joined({"file": [*lines[:-1], other.heads[-1].line()]}, TRUSTED)
    assert [(each.kind, each.head) for each in found] == [(Kind.FORKED, len(lines))]
