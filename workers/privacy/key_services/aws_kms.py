"""AWS KMS, or a service with its API, as key service: `aws-kms:ALIAS?region=REGION&endpoint=URL`.

A version is a symmetric KMS key, and the alias names the newest: KMS destroys whole keys only, after a waiting period
of 7 days at least, within which an administrator can cancel it. Credentials are those of the AWS SDK.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, PartialCredentialsError

from schemas.errors import ConfigurationError, Transient
from workers.privacy.key_services.kms import Destroyed, VersionDestroyed, Wrapped

WAITING_DAYS = 7
"""The shortest waiting period of KMS."""
CONNECT_S, ANSWER_S, ATTEMPTS = 5, 10, 2
REFUSED = (
    "AccessDenied",
    "AccessDeniedException",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "ExpiredTokenException",
)
GONE = ("PendingDeletion", "PendingReplicaDeletion")
DESCRIPTION = "Undertone: wraps the store key of a key directory"


class AwsKms:
    """The key service behind one alias."""

    name = "aws-kms"

    def __init__(self, alias: str, region: str | None, endpoint: str | None) -> None:
        self._alias = alias
        configuration = Config(
            connect_timeout=CONNECT_S, read_timeout=ANSWER_S, retries={"mode": "standard", "max_attempts": ATTEMPTS}
        )
        with _known_errors():
            self._client: Any = boto3.client("kms", region_name=region, endpoint_url=endpoint, config=configuration)

    def create(self) -> None:
        """Make a key and the alias, unless the alias exists."""
        with _known_errors():
            if self._described(self._alias) is None:
                self._client.create_alias(AliasName=self._alias, TargetKeyId=self._new_key())

    def wrap(self, plain: bytes, context: bytes) -> Wrapped:
        """As `Kms.wrap`."""
        with _known_errors():
            self._in_use()
            answer = self._client.encrypt(KeyId=self._alias, Plaintext=plain, EncryptionContext=_context(context))
        return Wrapped(answer["KeyId"], answer["CiphertextBlob"])

    def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        """As `Kms.unwrap`."""
        with _known_errors():
            key = self._described(wrapped.version)
            if key is None or key["KeyState"] in GONE:
                self._in_use()
                raise VersionDestroyed("KMS has destroyed that key, or will")
            if key["KeyState"] != "Enabled":
                raise Transient("the KMS key is disabled: enable it")
            try:
                answer = self._client.decrypt(
                    KeyId=wrapped.version, CiphertextBlob=wrapped.blob, EncryptionContext=_context(context)
                )
            except (ClientError, BotoCoreError) as error:
                if _code(error) in {"InvalidCiphertextException", "IncorrectKeyException", "ValidationException"} or (
                    isinstance(error, BotoCoreError) and type(error).__name__ == "ParamValidationError"
                ):
                    raise _foreign() from None
                raise
            return bytes(answer["Plaintext"])

    def rotate(self) -> str:
        """As `Kms.rotate`: a new key, which the alias names from now on."""
        with _known_errors():
            self._in_use()
            version = self._new_key()
            self._client.update_alias(AliasName=self._alias, TargetKeyId=version)
        return version

    def destroy(self, version: str) -> Destroyed:
        """As `Kms.destroy`; the key is removed after the waiting period."""
        with _known_errors():
            if self._in_use()["Arn"] == version:
                raise ConfigurationError("the KMS key is in use: rotate it first")
            key = self._described(version)
            if key is None:
                return Destroyed(version, datetime.now(UTC), self.name)
            if key["KeyState"] not in GONE:
                key = self._client.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=WAITING_DAYS)
            at: datetime = key["DeletionDate"]
        return Destroyed(version, at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC), self.name)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _in_use(self) -> Any:
        """The key that the alias names. Raises ConfigurationError where there is none."""
        key = self._described(self._alias)
        if key is None:
            raise ConfigurationError(
                "UNDERTONE_KMS: KMS has no such alias: `undertone keys init` makes it where no data is sealed yet; "
                "otherwise correct the alias, the region or the account"
            )
        return key

    def _described(self, key: str) -> Any:
        """State of a key or of the one behind an alias; None where KMS has none."""
        try:
            return self._client.describe_key(KeyId=key)["KeyMetadata"]
        except ClientError as error:
            if _code(error) == "NotFoundException":
                return None
            raise

    def _new_key(self) -> str:
        return str(self._client.create_key(Description=DESCRIPTION)["KeyMetadata"]["Arn"])


def make(rest: str) -> AwsKms:
    """The client of `aws-kms:ALIAS?region=REGION&endpoint=URL`. Raises ConfigurationError."""
    alias, _, query = rest.partition("?")
    given = {name: values[-1] for name, values in parse_qs(query).items()}
    if not alias or given.keys() - {"region", "endpoint"}:
        raise ConfigurationError("UNDERTONE_KMS is not aws-kms:ALIAS?region=REGION: correct it")
    return AwsKms(f"alias/{alias.removeprefix('alias/')}", given.get("region"), given.get("endpoint"))


@contextmanager
def _known_errors() -> Iterator[None]:
    """Errors of the SDK in the block become Transient or ConfigurationError, without addresses and ids."""
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError, NoRegionError):
        raise ConfigurationError(
            "UNDERTONE_KMS: the AWS SDK has no credentials or no region: set AWS_REGION, and the role or "
            "AWS_ACCESS_KEY_ID of this process"
        ) from None
    except ValueError:
        raise ConfigurationError("UNDERTONE_KMS: the endpoint is no URL: correct it") from None
    except ClientError as error:
        if _code(error) in REFUSED:
            raise ConfigurationError(
                "UNDERTONE_KMS: AWS KMS refuses these credentials: grant kms:Encrypt, kms:Decrypt and kms:DescribeKey, "
                "and for rotations kms:CreateKey, kms:CreateAlias, kms:UpdateAlias and kms:ScheduleKeyDeletion"
            ) from None
        raise Transient(f"AWS KMS answers {_code(error)}") from None
    except BotoCoreError as error:
        raise Transient(f"AWS KMS does not answer ({type(error).__name__})") from None


def _code(error: Exception) -> str:
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""


def _context(context: bytes) -> dict[str, str]:
    return {"undertone": context.decode()}


def _foreign() -> ConfigurationError:
    return ConfigurationError(
        "UNDERTONE_KMS: AWS KMS does not open this key directory: they belong to different installations, or a row is "
        "damaged; name the alias that the directory was made with"
    )
