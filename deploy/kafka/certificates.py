"""Certificates of our own making, for tests and for compose: an authority, and what it vouches for."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)
THIS_MACHINE = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, PEM, in files and in one file together."""

    certificate: Path
    key: Path
    both: Path


class Signer:
    """An authority in memory: its key, and its certificate, both PEM when they are written down."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key, self._certificate = key, certificate

    @classmethod
    def new(cls, name: str, lives: timedelta) -> Self:
        """An authority that has not existed before."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _begun(_named(name), key, _named(name), key, _now() - DAY, _now() + lives)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(key, certificate)

    @classmethod
    def read(cls, both: str) -> Self:
        """One that was written down. Raises ValueError when this is not a key and its certificate."""
        key, certificate = split(both)
        loaded = serialization.load_pem_private_key(key.encode(), None)
        found = x509.load_pem_x509_certificate(certificate.encode())
        if not isinstance(loaded, ec.EllipticCurvePrivateKey) or loaded.public_key() != found.public_key():
            raise ValueError("not a key of an elliptic curve with its certificate")
        return cls(loaded, found)

    @property
    def certificate(self) -> str:
        """What others trust it by."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def both(self) -> str:
        """Its key and its certificate: whoever has them can vouch for anything."""
        return _pem(self._key) + self.certificate

    @property
    def ends(self) -> datetime:
        """When nothing that it vouched for is valid any more."""
        return self._certificate.not_valid_after_utc

    def vouch(self, name: str, hosts: Collection[str], begins: datetime, ends: datetime) -> tuple[str, str]:
        """A certificate of `name` for these hosts, names or addresses, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _begun(_named(name), key, self._certificate.subject, self._key, begins, min(ends, self.ends))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.SubjectAlternativeName([_host(each) for each in hosts]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM).decode(), _pem(key)

    def vouches(self, certificate: str, hosts: Collection[str], until: datetime) -> bool:
        """Whether a certificate is its own, for all these hosts, and valid until then."""
        try:
            found = x509.load_pem_x509_certificate(certificate.encode())
            found.verify_directly_issued_by(self._certificate)
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return False
        return {_host(each) for each in hosts} <= set(names) and found.not_valid_after_utc >= until


def split(both: str) -> tuple[str, str]:
    """The key and the certificate in a text that has both; empty where it has none."""
    key, begin, certificate = both.partition("-----BEGIN CERTIFICATE-----")
    return key, begin + certificate


class Authority:
    """Signs certificates into `folder`; its own is `ca.pem` there. name: so that two can be told apart."""

    def __init__(self, folder: Path, name: str = "Undertone development") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._signer = Signer.new(name, 30 * DAY)
        self.certificate = folder / "ca.pem"
        self.certificate.write_text(self._signer.certificate)

    def vouch(self, name: str, *, expired: bool = False) -> Pair:
        """A certificate for `name` on this machine; `expired`: since yesterday."""
        ends = _now() - DAY if expired else _now() + 7 * DAY
        pem, secret = self._signer.vouch(name, THIS_MACHINE, ends - 7 * DAY, ends)
        pair = Pair(*(self._folder / f"{name}{suffix}.pem" for suffix in ("", "-key", "-both")))
        pair.certificate.write_text(pem)
        pair.key.write_text(secret)
        pair.both.write_text(secret + pem)
        return pair


def _begun(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuing: ec.EllipticCurvePrivateKey,
    begins: datetime,
    ends: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing.public_key()), critical=False)
    )


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _now() -> datetime:
    return datetime.now(UTC)
