"""A hardware security module as key service, by PKCS#11 2.40: `pkcs11:LIBRARY?token=LABEL&key=LABEL&pin=PIN`.

A version is an AES-256 key of the token with this label; its `CKA_ID` is the version's number. Keys are made in the
token, sensitive and not extractable. Wrapping is CKM_AES_GCM.
"""

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import parse_qs

import pkcs11
from pkcs11 import exceptions

from schemas.errors import ConfigurationError, Transient
from workers.privacy.key_services.kms import Destroyed, VersionDestroyed, Wrapped

KEY_BITS, NONCE_BYTES, TAG_BITS = 256, 12, 128
WRONG_PIN = (exceptions.PinIncorrect, exceptions.PinInvalid, exceptions.PinLocked, exceptions.PinExpired)
FOREIGN = (
    exceptions.EncryptedDataInvalid,
    exceptions.EncryptedDataLenRange,
    exceptions.DataInvalid,
    exceptions.DataLenRange,
    exceptions.ArgumentsBad,
)
T = TypeVar("T")


class Pkcs11Kms:
    """The key service of one token. A session opens at the first call, and again after an outage."""

    name = "pkcs11"

    def __init__(self, library: str, token: str, key: str, pin: str | None) -> None:
        self._library, self._token, self._label, self._pin = library, token, key, pin
        self._session: Any = None
        self._lock = threading.Lock()

    def create(self) -> None:
        """Make the first key of the label, unless there is one."""
        self._call(lambda session: self._newest(session) or self._generate(session, 1))

    def wrap(self, plain: bytes, context: bytes) -> Wrapped:
        """As `Kms.wrap`."""
        nonce = os.urandom(NONCE_BYTES)

        def encrypt(session: Any) -> Wrapped:
            version = self._in_use(session)
            body = self._key(session, version).encrypt(
                plain, mechanism=pkcs11.Mechanism.AES_GCM, mechanism_param=_parameters(nonce, context)
            )
            return Wrapped(str(version), nonce + body)

        return self._call(encrypt)

    def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        """As `Kms.unwrap`."""
        nonce, body = wrapped.blob[:NONCE_BYTES], wrapped.blob[NONCE_BYTES:]
        if len(body) < TAG_BITS // 8:
            raise _foreign()

        def decrypt(session: Any) -> bytes:
            key = self._key(session, _number(wrapped.version))
            parameters = _parameters(nonce, context)
            try:
                return bytes(key.decrypt(body, mechanism=pkcs11.Mechanism.AES_GCM, mechanism_param=parameters))
            except (*FOREIGN, exceptions.GeneralError, exceptions.FunctionFailed):
                # Tokens differ in how they report a tag that is wrong; one that is away answers no other call either.
                self._in_use(session)
                raise _foreign() from None

        return self._call(decrypt)

    def rotate(self) -> str:
        """As `Kms.rotate`."""
        return str(self._call(lambda session: self._generate(session, self._in_use(session) + 1)))

    def destroy(self, version: str) -> Destroyed:
        """As `Kms.destroy`; the token removes the key at once."""

        def remove(session: Any) -> None:
            if self._in_use(session) == _number(version):
                raise ConfigurationError("the token's newest key is in use: rotate it first")
            for key in self._keys(session, _number(version)):
                key.destroy()

        self._call(remove)
        return Destroyed(version, datetime.now(UTC), self.name)

    def close(self) -> None:
        """End the session."""
        with self._lock:
            if self._session is not None:
                self._session.close()
                self._session = None

    def _call(self, work: Callable[[Any], T]) -> T:
        """Run `work` with the session, which one thread may use at a time. Errors become Transient or Stop."""
        with self._lock:
            try:
                if self._session is None:
                    self._session = self._opened()
                return work(self._session)
            except WRONG_PIN:
                raise ConfigurationError("UNDERTONE_KMS: the token refuses this pin: correct it") from None
            except exceptions.PKCS11Error as error:
                self._session = None
                raise Transient(f"the PKCS#11 token does not answer ({type(error).__name__})") from None

    def _opened(self) -> Any:
        try:
            token = pkcs11.lib(self._library).get_token(token_label=self._token)
        except (exceptions.NoSuchToken, exceptions.MultipleTokensReturned):
            raise Transient(
                "the PKCS#11 library has no token, or several, of this label: check UNDERTONE_KMS and the token"
            ) from None
        except (OSError, RuntimeError):
            raise ConfigurationError("UNDERTONE_KMS: the PKCS#11 library cannot be loaded: correct its path") from None
        try:
            return token.open(rw=True, user_pin=self._pin)
        except exceptions.UserAlreadyLoggedIn:
            return token.open(rw=True)  # a process logs in once, for all of its sessions

    def _keys(self, session: Any, version: int | None = None) -> list[Any]:
        wanted = {
            pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
            pkcs11.Attribute.LABEL: self._label,
            **({} if version is None else {pkcs11.Attribute.ID: version.to_bytes(4, "big")}),
        }
        return list(session.get_objects(wanted))

    def _key(self, session: Any, version: int) -> Any:
        found = self._keys(session, version)
        if not found:
            self._in_use(session)
            raise VersionDestroyed(f"the token has no version {version}")
        return found[0]

    def _newest(self, session: Any) -> int:
        """The newest version; 0 where there is none."""
        return max((int.from_bytes(key.id, "big") for key in self._keys(session)), default=0)

    def _in_use(self, session: Any) -> int:
        newest = self._newest(session)
        if not newest:
            raise ConfigurationError(
                "UNDERTONE_KMS: the token has no key of this label: `undertone keys init` makes one where no data is "
                "sealed yet; otherwise this is another token"
            )
        return newest

    def _generate(self, session: Any, version: int) -> int:
        session.generate_key(
            pkcs11.KeyType.AES,
            KEY_BITS,
            id=version.to_bytes(4, "big"),
            label=self._label,
            store=True,
            template={pkcs11.Attribute.SENSITIVE: True, pkcs11.Attribute.EXTRACTABLE: False},
        )
        return version


def make(rest: str) -> Pkcs11Kms:
    """The client of `pkcs11:LIBRARY?token=LABEL&key=LABEL&pin=PIN`. Raises ConfigurationError."""
    library, _, query = rest.partition("?")
    given = {name: values[-1] for name, values in parse_qs(query).items()}
    if not library or "token" not in given or given.keys() - {"token", "key", "pin"}:
        raise ConfigurationError("UNDERTONE_KMS is not pkcs11:LIBRARY?token=LABEL&key=LABEL&pin=PIN: correct it")
    return Pkcs11Kms(library, given["token"], given.get("key", "undertone"), given.get("pin"))


def _parameters(nonce: bytes, context: bytes) -> Any:
    return pkcs11.GCMParams(nonce, context, TAG_BITS)


def _number(version: str) -> int:
    if not (version.isascii() and version.isdigit() and int(version) < 2**32):
        raise _foreign()
    return int(version)


def _foreign() -> ConfigurationError:
    return ConfigurationError(
        "UNDERTONE_KMS: the token does not open this key directory: they belong to different installations, or a row "
        "is damaged; name the token that the directory was made with"
    )
