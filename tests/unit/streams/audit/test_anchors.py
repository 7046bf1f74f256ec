"""Anchors: one contract for all, and what each keeps from being lost."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from schemas.errors import Transient
from schemas.settings import Settings
from streams.audit.anchors import Anchor, BucketAnchor, FileAnchor, make_anchors
from tests.unit.streams.audit.trails import trail

LINES = [head.line() for head in trail(24, 4, 0).heads]
BUCKET = "undertone-audit"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of a bucket with object lock."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        client = boto3.client("s3")
        where = {"LocationConstraint": "eu-central-1"}
        client.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True, CreateBucketConfiguration=where)
        yield client


@pytest.fixture(params=["file", "bucket"])
def anchor(request: pytest.FixtureRequest, tmp_path: Path) -> Anchor:
    """One of each kind."""
    if request.param == "file":
        return FileAnchor(tmp_path / "heads.jsonl")
    return BucketAnchor(request.getfixturevalue("s3"), BUCKET, "trail", timedelta(days=1))


def test_heads_are_kept_in_their_order_and_each_number_once(anchor: Anchor) -> None:
    assert (anchor.last(), list(anchor.lines())) == (None, [])
    for number, line in enumerate(LINES, 1):
        assert anchor.put(number, line)
        assert anchor.last() == line
        assert not anchor.put(number, LINES[0]), "there is one of this number"
    assert list(anchor.lines()) == LINES


def test_of_signers_at_the_same_time_one_signs(tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "heads.jsonl")
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: anchor.put(1, LINES[0]), range(32)))
    assert taken.count(True) == 1
    assert list(anchor.lines()) == LINES[:1]


def test_a_file_is_for_its_user_alone_and_grows_where_it_may_only_be_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    anchor = FileAnchor(path)
    anchor.put(1, LINES[0])
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.stat().st_ino
    anchor.put(2, LINES[1])
    assert path.stat().st_ino == before


def test_a_file_that_cannot_be_used_is_transient(tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "none" / "heads.jsonl")
    with pytest.raises(Transient, match="UNDERTONE_AUDIT_ANCHORS"):
        anchor.put(1, LINES[0])
    damaged = FileAnchor(tmp_path / "heads.jsonl")
    (tmp_path / "heads.jsonl").write_bytes(b"no head\n")
    with pytest.raises(Transient, match="no head"):
        damaged.put(1, LINES[0])


@pytest.mark.parametrize("part", [LINES[1][:40], LINES[1]])
def test_a_line_that_a_killed_signer_left_unfinished_hinders_no_later_head(part: bytes, tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    anchor = FileAnchor(path)
    anchor.put(1, LINES[0])
    with path.open("ab") as file:
        file.write(part)
    assert anchor.last() == LINES[0]
    assert list(anchor.lines()) == [LINES[0], part], "a check sees it until it is removed"
    assert anchor.put(2, LINES[1])
    assert list(anchor.lines()) == LINES[:2]
    path.write_bytes(part)
    assert anchor.last() is None
    assert anchor.put(1, LINES[0])
    assert list(anchor.lines()) == LINES[:1]


def test_an_object_is_locked_and_what_hides_it_removes_nothing(s3: Any) -> None:
    anchor = BucketAnchor(s3, BUCKET, "trail", timedelta(days=3))
    anchor.put(1, LINES[0])
    key = "trail/000000000001.json"
    found = s3.head_object(Bucket=BUCKET, Key=key)
    assert found["ObjectLockMode"] == "COMPLIANCE"
    assert found["ObjectLockRetainUntilDate"] > datetime.now(UTC) + timedelta(days=2)
    with pytest.raises(ClientError):
        s3.delete_object(Bucket=BUCKET, Key=key, VersionId=found["VersionId"])
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"forged")
    s3.delete_object(Bucket=BUCKET, Key=key)
    assert list(anchor.lines()) == LINES[:1]
    assert anchor.last() == LINES[0]


def test_a_bucket_that_is_not_there_is_transient(s3: Any) -> None:
    anchor = BucketAnchor(s3, "another", "", timedelta(days=1))
    for call in (anchor.last, lambda: list(anchor.lines()), lambda: anchor.put(1, LINES[0])):
        with pytest.raises(Transient, match="NoSuchBucket"):
            call()


def test_the_settings_name_anchors(s3: Any, tmp_path: Path) -> None:
    settings = Settings(audit_anchors=(f"file://{tmp_path}/heads.jsonl", f"s3://{BUCKET}/trail/"))
    first, second = make_anchors(settings)
    assert first.put(1, LINES[0])
    assert second.put(1, LINES[0])
    assert (tmp_path / "heads.jsonl").read_bytes() == LINES[0] + b"\n"
    assert s3.get_object(Bucket=BUCKET, Key="trail/000000000001.json")["Body"].read() == LINES[0]
