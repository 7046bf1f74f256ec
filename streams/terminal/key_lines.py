"""The JSON lines of `undertone keys`; `json_lines.py` has all others, and hands these on."""

# Before Python 3.12 pydantic reads the docstrings of fields from this one only.
from typing_extensions import TypedDict


class KeysMade(TypedDict):
    """What `keys init` did."""

    made: bool
    """Whether the key directory was new; otherwise it was left as it is."""


class KeyStatus(TypedDict):
    """What `keys status` found."""

    sealing: str
    """`on` or `off`: `UNDERTONE_SEAL`."""
    clear_topics: list[str]
    """Topics that stay in clear."""
    key_cache_s: float
    """Seconds that processes keep keys in memory."""
    key_service: str
    """Kind of the key service: `local`, `pkcs11` or `aws-kms`."""
    store_key: int
    """Version of the store key in use."""
    store_key_made_at: str
    """Time of the last rotation."""
    rotating: bool
    """Whether a rotation was interrupted: `keys rotate` finishes it."""
    people: int
    """People whose data can be opened."""
    erasing: int
    """People whose erasure has started and not ended."""
    erased: int
    """People who were erased."""
    keys: int
    """Keys of people: one each that lasts, and one for each month with data."""
    damaged: int
    """Keys that the store key does not open."""
    oldest_month: str | None
    """First month that has keys, such as `2026-05`."""
    destroyed_before: str | None
    """Months before this one were destroyed."""


class KeyGrant(TypedDict):
    """The key of one person, one month and one purpose."""

    subject: str
    """The person on Kafka: 32 hexadecimal digits."""
    epoch: int
    """The month, as sealed values number it."""
    key: str
    """AES-256 key, 64 hexadecimal digits. A secret."""
    user_id: str
    """Pseudonym."""


class KeysRotated(TypedDict):
    """What `keys rotate` did."""

    store_key: int
    """Version of the store key in use now."""
    rewrapped: int
    """Keys that it wraps."""
    damaged: int
    """Keys that the old version did not open; their data stays unreadable."""
    older_backups_open_until: str | None
    """When the key service removes the old version, and with it every older backup of the key directory."""


class MonthsDestroyed(TypedDict):
    """What `keys destroy-epochs` did."""

    destroyed: int
    """Keys of months that were destroyed."""
    destroyed_before: str
    """The first month that was kept."""
    older_backups_open_until: str | None
    """When the key service removes the old store key, and with it every older backup of the key directory."""
