"""What a process writes to standard error: text for people or JSON for machines, and no person in either.

Memos and users appear only as hashes with a key that the operator keeps (`reference`); exceptions of others than
Undertone, Kafka and Redis appear without their message, which may quote a path or a value. Libraries that repeat
themselves are heard once a minute.
"""

import hmac
import json
import logging
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
from schemas.settings import Settings

EXTRAS = ("stage", "topic", "partition", "offset", "reason", "memo", "user", "trace_id")
"""What a line may carry beside its message, each a field of its own in JSON."""
OTHERS = ("aiokafka", "faust", "mode", "httpx", "httpcore", "opentelemetry", "urllib3", "asyncio", "redis", "kafka")
"""Heard from warnings on, whatever the level: at others they log requests, and so passwords and records."""
QUIET_S = 60.0
"""For so long the same complaint of another library is not repeated."""
HASH_DIGITS = 16

_key: bytes | None = None


def configure(settings: Settings, role: str = "") -> None:
    """Log as the settings say, from now on. role: which process this is, in every line of JSON."""
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
    """What stands for the id of a memo or a user in logs: HMAC-SHA256 of `kind:name`; None without a key or a name.

    >>> import hmac; hmac.new(b"key", b"user:anna", "sha256").hexdigest()[:16]
    '9ac69f3efb8965d9'
    """
    if _key is None or name is None:
        return None
    return hmac.new(_key, f"{kind}:{name}".encode(), sha256).hexdigest()[:HASH_DIGITS]


class Once(logging.Filter):
    """Lets a complaint of another library pass once in a while, and says how often it was held back.

    every_s: between two of the same; clock: seconds.
    """

    def __init__(self, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._every_s, self._clock = every_s, clock
        self._said: dict[tuple[str, object], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write the record; its message may gain how many were held back."""
        if record.name.partition(".")[0] not in OTHERS or record.levelno >= logging.CRITICAL:
            return True
        complaint, now = (record.name, record.msg), self._clock()
        said_at, held_back = self._said.get(complaint, (float("-inf"), 0))
        if now - said_at < self._every_s:
            self._said[complaint] = said_at, held_back + 1
            return False
        self._said[complaint] = now, 0
        if held_back:
            record.msg, record.args = f"{record.getMessage()} (and {held_back} more like it)", ()
        return True


class Lines(logging.Formatter):
    """Text, one line a message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name that logging calls
        """The error and where it came from, without anything that it quotes."""
        return "\n".join(told(ei))


class JsonLines(logging.Formatter):
    """JSON, one object a line."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = {"role": role} if role else {}

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            **self._role,
            "message": record.getMessage(),
            **{name: vars(record)[name] for name in EXTRAS if name in vars(record)},
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error"], *line["stack"] = told(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def told(error: Any) -> list[str]:
    """What is told of an exception: itself first, then its frames, innermost last, each as file, line and function."""
    kind, value, trace = error
    frames = traceback.extract_tb(trace)
    places = [f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno} in {frame.name}" for frame in frames]
    return [f"{kind.__name__}: {value}" if isinstance(value, UndertoneError | KafkaError) else kind.__name__, *places]
