"""Time stamps of an authority (RFC 3161): a witness outside that a head existed at a time."""

from datetime import datetime
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import httpx
from cryptography import x509

from schemas.errors import ConfigurationError, Transient

WITHIN_S = 15.0
QUERY = "application/timestamp-query"
LARGEST_REPLY = 64 * 1024


def stamped(url: str, data: bytes) -> bytes:
    """The authority's response over the SHA-256 of the data, as it came. Raises Transient unless it granted one."""
    rfc3161 = _package()
    query = rfc3161.TimestampRequestBuilder().data(data).hash_algorithm(rfc3161.HashAlgorithm.SHA256).build()
    try:
        answer = httpx.post(url, content=query.as_bytes(), headers={"content-type": QUERY}, timeout=WITHIN_S)
        answer.raise_for_status()
        reply = rfc3161.decode_timestamp_response(answer.content[:LARGEST_REPLY])
    except (httpx.HTTPError, ValueError) as error:
        raise Transient(f"UNDERTONE_AUDIT_TIMESTAMPS_URL: no time stamp ({type(error).__name__})") from error
    if reply.status not in (0, 1):
        raise Transient("UNDERTONE_AUDIT_TIMESTAMPS_URL: the authority granted no time stamp")
    if reply.tst_info.nonce != query.nonce or reply.tst_info.message_imprint.message != _digest(data):
        raise Transient("UNDERTONE_AUDIT_TIMESTAMPS_URL: the time stamp is of something else")
    return answer.content


def stamp_time(stamp: bytes, data: bytes, authorities: Path) -> datetime | None:
    """When an authority saw the data, None where the stamp is not one of these authorities over this data.

    authorities: PEM file with the root certificates that are trusted.
    """
    rfc3161 = _package()
    builder = rfc3161.VerifierBuilder()
    for root in _roots(authorities):
        builder = builder.add_root_certificate(root)
    try:
        reply = rfc3161.decode_timestamp_response(stamp)
        builder.build().verify(reply, _digest(data))
    except (ValueError, rfc3161.VerificationError):
        return None
    when: datetime = reply.tst_info.gen_time
    return when


def _roots(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError("UNDERTONE_AUDIT_TIMESTAMPS_CA holds no certificates in PEM") from error


def _digest(data: bytes) -> bytes:
    return sha256(data).digest()


def _package() -> ModuleType:
    try:
        import rfc3161_client
    except ImportError as error:
        raise ConfigurationError(
            "UNDERTONE_AUDIT_TIMESTAMPS_URL needs the packages of `pip install 'undertone-voice[audit-anchors]'`"
        ) from error
    return rfc3161_client
