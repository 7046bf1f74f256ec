"""The certificate of an erasure: a JSON document that is signed, and the same bytes for whoever writes it.

    {"certificate": {…}, "signature": {"algorithm": "Ed25519", "public_key": …, "value": …}}

Canonical JSON: UTF-8, names in the order of their code points, no white space, no number but integers, one line break
at the end. The signature (RFC 8032) is over the canonical bytes of `certificate`; a file with any other bytes than the
canonical ones is no certificate, so no byte of it may change.
"""

import json
from collections.abc import Mapping
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from schemas.errors import UndertoneError

Statement: TypeAlias = "Mapping[str, Statement] | list[Statement] | str | int | bool | None"
"""What a certificate may hold: JSON without fractions, whose spelling differs between writers."""

FORMAT = 1
ALGORITHM = "Ed25519"
LARGEST = 1 << 20
"""Bytes of a certificate that are read."""


class NotCertified(UndertoneError):
    """A file is no certificate, was changed, or was signed by another key; the message says which."""


def canonical(value: Statement) -> bytes:
    """The canonical bytes of a statement. Raises ValueError for a fraction, which has several spellings.

    >>> canonical({"b": [1, "ü"], "a": None}).decode()
    '{"a":null,"b":[1,"ü"]}'
    """
    _check(value)
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode()


def signed(statement: Mapping[str, Statement], key: Ed25519PrivateKey) -> bytes:
    """The file of a certificate."""
    signature = {
        "algorithm": ALGORITHM,
        "public_key": public_bytes(key.public_key()).hex(),
        "value": key.sign(canonical(statement)).hex(),
    }
    return canonical({"certificate": statement, "signature": signature}) + b"\n"


def verified(data: bytes, public_key: bytes | None = None) -> Mapping[str, Statement]:
    """What a certificate states. public_key: 32 bytes of the key that must have signed it; None for the one it names.

    Raises NotCertified.
    """
    document = _parsed(data)
    try:
        statement, signature = document["certificate"], document["signature"]
        named, value = _bytes(signature["public_key"]), _bytes(signature["value"])
        if signature.keys() != {"algorithm", "public_key", "value"} or document.keys() != {"certificate", "signature"}:
            raise NotCertified("the certificate has fields that no signature covers")
        if signature["algorithm"] != ALGORITHM or statement["format"] != FORMAT:
            raise NotCertified(f"the certificate is not of format {FORMAT} with {ALGORITHM}: use a newer Undertone")
        Ed25519PublicKey.from_public_bytes(named).verify(value, canonical(statement))
    except (KeyError, TypeError, AttributeError, ValueError):
        raise NotCertified("the file is no certificate of an erasure") from None
    except InvalidSignature:
        raise NotCertified("the signature does not fit: the certificate was changed after it was signed") from None
    if public_key is not None and named != public_key:
        raise NotCertified("the certificate was signed by another key than this system's")
    found: Mapping[str, Statement] = statement
    return found


def public_bytes(key: Ed25519PublicKey) -> bytes:
    """32 bytes of a public key."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _parsed(data: bytes) -> Mapping[str, dict[str, Statement]]:
    """The document. Raises NotCertified for bytes that are not the canonical ones."""
    if len(data) > LARGEST:
        raise NotCertified(f"the file has more than {LARGEST} bytes: no certificate has")
    try:
        document = json.loads(data)
        if not isinstance(document, dict) or canonical(document) + b"\n" != data:
            raise NotCertified("the file has other bytes than a certificate is written with: it was changed")
    except (ValueError, RecursionError, UnicodeError):
        raise NotCertified("the file is no certificate of an erasure, or it was changed") from None
    return document


def _bytes(digits: Statement) -> bytes:
    """Bytes of lower-case hexadecimal digits. Raises ValueError for any other spelling."""
    found = bytes.fromhex(str(digits))
    if found.hex() != digits:
        raise ValueError("not in lower-case hexadecimal digits")
    return found


def _check(value: Statement) -> None:
    if isinstance(value, float):
        raise ValueError("a certificate holds no fractions")  # noqa: TRY004  # a number, but not a whole one
    for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        _check(inner)
