"""Every released version of every record's schema, with the fingerprint that records carry without a registry."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from schemas.codec import fingerprint_of, schema_name
from schemas.topics import TOPICS

FIRST_RELEASES: Mapping[str, str] = {
    "memo_uploaded.1": "0.1.0",
    "memo_features.1": "0.1.0",
    "memo_features.2": "0.1.0",
    "memo_features.3": "0.3.0",
    "risk_scored.1": "0.1.0",
    "risk_scored.2": "0.1.0",
    "risk_scored.3": "0.4.0",
    "risk_scored.4": "0.5.0",
    "risk_alert.1": "0.1.0",
    "risk_alert.2": "0.5.0",
    "dead_letter.1": "0.1.0",
    "care_action.1": "0.5.0",
    "consent.1": "0.6.0",
    "audit_event.1": "0.5.0",
    "audit_event.2": "0.6.0",
}
"""The first release of Undertone with each version in `schemas/avro/history`, in the order of topics and versions."""


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """One version of the schema of one topic's values.

    number: from 1; file: from the root of the project; first_release: of Undertone; fingerprint: CRC-64-AVRO of the
    parsing canonical form, eight bytes in the order of Avro single-object encoding (little-endian).
    """

    topic: str
    record: str
    number: int
    file: str
    first_release: str
    fingerprint: bytes

    @property
    def integer(self) -> int:
        """The fingerprint as an unsigned integer."""
        return int.from_bytes(self.fingerprint, "little")

    @property
    def java_long(self) -> int:
        """The fingerprint as Java's `SchemaNormalization.parsingFingerprint64` gives it: the same 64 bits, signed."""
        return int.from_bytes(self.fingerprint, "little", signed=True)


def schema_versions() -> tuple[SchemaVersion, ...]:
    """Every released version, in the order of the topics; the last one of a topic is what is written today."""
    places = {schema_name(topic.record): topic for topic in TOPICS}
    found = []
    for name, release in FIRST_RELEASES.items():
        stem, _, number = name.partition(".")
        schema = json.loads((resources.files("schemas.avro") / "history" / f"{name}.avsc").read_text())
        found.append(
            SchemaVersion(
                topic=places[stem].name,
                record=f"{schema['namespace']}.{schema['name']}",
                number=int(number),
                file=f"schemas/avro/history/{name}.avsc",
                first_release=release,
                fingerprint=fingerprint_of(schema),
            )
        )
    return tuple(found)
