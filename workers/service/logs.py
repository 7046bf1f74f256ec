"""Logging to standard error, as text or JSON, without personal data.

Memos and users appear only as hashes keyed with the operator's secret (`reference`); exceptions other than Undertone's
and Kafka's appear without their message, which may quote a path or a value. Repeated messages of libraries are logged
once a minute.
"""

import hmac
import json
import logging
import re
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError

from schemas.errors import UndertoneError
from schemas.json_records import json_line
from schemas.settings import Settings
from workers.service.loggers import demote, is_ours
from workers.service.terminal import escaped

EXTRAS = (
    *("stage", "topic", "partition", "offset", "reason", "memo", "user", "trace_id"),
    *("device", "modalities", "extractor", "precision", "engine", "engine_reason", "bundle"),
)
"""Fields that a line may have besides its message: `key=value` after it in text, fields in JSON."""
OTHERS = ("aiokafka", "faust", "mode", "httpx", "httpcore", "opentelemetry", "urllib3", "asyncio", "redis", "kafka")
"""Libraries logged from WARNING up, whatever the level: below they log requests, with passwords and records."""
QUIET_S = 60.0
"""Minimum seconds between two equal messages of a library."""
HASH_DIGITS = 16
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_BARE = re.compile(r"[!#-<>-~]+")
"""Values that text needs no quotes for: printable ASCII without spaces, `"` and `=`. Headers may bring any others."""

_key: bytes | None = None


def configure(settings: Settings, role: str = "") -> None:
    """Configure logging by the settings. role: name of this process, in every line of JSON."""
    global _key
    _key = None if settings.log_key is None else settings.log_key.get_secret_value().encode()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(role) if settings.log_format == "json" else Lines())
    handler.addFilter(Once(QUIET_S))
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name in OTHERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(settings.log_level)))


def reference(kind: str, name: str | None) -> str | None:
    """Pseudonym of a memo's or a user's id in logs: HMAC-SHA256 of `kind:name`; None without a key or a name.

    >>> import hmac; hmac.new(b"key", b"user:anna", "sha256").hexdigest()[:16]
    '9ac69f3efb8965d9'
    """
    if _key is None or name is None:
        return None
    return hmac.new(_key, f"{kind}:{name}".encode(), sha256).hexdigest()[:HASH_DIGITS]


class Once(logging.Filter):
    """Suppresses messages of libraries below WARNING, and repeated ones, whose number it adds to the next one.

    every_s: seconds between two equal messages; clock: seconds.
    """

    def __init__(self, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._every_s, self._clock = every_s, clock
        self._logged: dict[tuple[str, object], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write the record; may append the number of suppressed ones to its message."""
        if is_ours(record) or record.levelno >= logging.CRITICAL:
            return True
        if record.levelno < logging.WARNING:
            return False
        demote(record)
        message, now = (record.name, record.msg), self._clock()
        logged_at, suppressed = self._logged.get(message, (float("-inf"), 0))
        if now - logged_at < self._every_s:
            self._logged[message] = logged_at, suppressed + 1
            return False
        self._logged[message] = now, 0
        if suppressed:
            record.msg, record.args = f"{record.getMessage()} ({suppressed} repeats suppressed)", ()
        return True


class Lines(logging.Formatter):
    """Text, one line per message, with the record's extras after it as `key=value`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name that logging calls
        """The message and the extras of the record, on one line."""
        pairs = (f"{name}={_quoted(value)}" for name, value in _extras(record).items())
        return " ".join((escaped(super().formatMessage(record)), *pairs))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name that logging calls
        """The exception and its stack, without quoted values."""
        return "\n".join(exception_lines(ei))


class JsonLines(logging.Formatter):
    """JSON, one object per line."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = {"role": role} if role else {}

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of JSON."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            **self._role,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error"], *line["stack"] = exception_lines(record.exc_info)
        return json_line(line)


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    """The fields that a line may have. A trace id comes from a header: one that is none is left out."""
    found = {name: vars(record)[name] for name in EXTRAS if name in vars(record)}
    if "trace_id" in found and not _TRACE_ID.fullmatch(str(found["trace_id"])):
        del found["trace_id"]
    return found


def _quoted(value: object) -> str:
    """The value as text, as a JSON string where a reader of `key=value` would split it.

    >>> _quoted(42), _quoted("audio:undecodable"), _quoted("two words"), _quoted("")
    ('42', 'audio:undecodable', '"two words"', '""')
    """
    text = str(value)
    return text if _BARE.fullmatch(text) else json.dumps(text)


def exception_lines(error: Any) -> list[str]:
    """Lines of an exception: first itself, then its frames, innermost last, each as file, line and function."""
    kind, value, trace = error
    frames = traceback.extract_tb(trace)
    places = [f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno} in {frame.name}" for frame in frames]
    told = isinstance(value, UndertoneError | KafkaError)
    return [escaped(f"{kind.__name__}: {value}") if told else kind.__name__, *places]
