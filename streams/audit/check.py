"""Verifies the trail: the topic against what the anchors have."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.errors import ConfigurationError
from schemas.keeping_settings import retention_of
from schemas.schema_registry import make_codec
from schemas.settings import Settings
from schemas.topics import AUDIT
from streams.audit.anchors import make_anchors
from streams.audit.heads import SignedHead
from streams.audit.reading import Extent, read_trail
from streams.audit.settings import keys_of
from streams.audit.sign_heads import joined
from streams.audit.signing import Signer, Trusted
from streams.audit.timestamps import stamp_time
from streams.audit.verify import Verdict, Verification


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found. holds_at: when the last head was signed up to which all is as it was, None without one.

    witnessed: number of the last of those heads that an authority of UNDERTONE_AUDIT_TIMESTAMPS_CA stamped, 0 for none.
    """

    verdict: Verdict
    holds_at: datetime | None
    witnessed: int


async def check_trail(settings: Settings) -> Checked:
    """Verify the topic as it is now. Raises Transient, BrokerRefused, and ConfigurationError without a public key."""
    anchors = make_anchors(settings)
    anchored = {f"{place} ({each.name})": list(each.lines()) for place, each in enumerate(anchors, 1)}
    heads, of_heads = joined(anchored, _trusted(settings)) if anchors else ([], [])
    oldest_ms = round((time.time() - retention_of(AUDIT, settings).total_seconds()) * 1000)
    codec, keys = make_codec(settings), keys_of(settings)
    checks: list[Verification] = []

    def begin(extent: Extent) -> Mapping[int, int]:
        checks.append(Verification(codec, extent.begins, heads, keys, oldest_ms))
        return extent.begins

    await read_trail(settings, begin, lambda record: checks[0].take(record))
    verdict = checks[0].verdict(of_heads)
    last = next((each for each in heads if each.head.number == verdict.holds), None)
    return Checked(
        verdict,
        None if last is None else datetime.fromtimestamp(last.head.at_ms / 1000, UTC),
        await asyncio.to_thread(_witnessed, settings, heads, verdict.holds),
    )


def _trusted(settings: Settings) -> Trusted:
    if settings.audit_public_key is not None:
        return Trusted.load(settings.audit_public_key)
    if settings.audit_signing_key is None:
        raise ConfigurationError("set UNDERTONE_AUDIT_PUBLIC_KEY to the public key of whoever signs heads")
    return Trusted.of(Signer.load(settings.audit_signing_key).private.public_key())


def _witnessed(settings: Settings, heads: list[SignedHead], holds: int) -> int:
    authorities = settings.audit_timestamps_ca
    if authorities is None:
        return 0
    stamped = (each for each in reversed(heads) if each.stamp and each.head.number <= holds)
    return next((each.head.number for each in stamped if stamp_time(each.stamp, each.data, authorities)), 0)
