import json
import logging
import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Poison
from schemas.settings import Settings
from workers.kafka.record import Source, about
from workers.service.logs import OTHERS, JsonLines, Lines, Once, configure

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SOURCE = Source("memos.uploaded", 3, 42, b"anna", None, {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01".encode()})


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, levels = root.handlers[:], root.level, {name: logging.getLogger(name).level for name in OTHERS}
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    configure_none()


def configure_none() -> None:
    import workers.service.logs

    workers.service.logs._key = None


def record(
    message: str, *arguments: object, name: str = "workers.consumer.worker", **extra: object
) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": name, "msg": message, "args": arguments, "levelname": "WARNING", **extra})
    made.levelno = logging.WARNING
    return made


def failure(error: Exception) -> logging.LogRecord:
    try:
        raise error  # noqa: TRY301
    except Exception:
        return record("it failed", exc_info=sys.exc_info())


def test_a_line_of_json_has_its_fields_and_no_other() -> None:
    configure(Settings.load(log_key="key"))
    line = json.loads(JsonLines("acoustic").format(record("at %s", "once", **about(SOURCE, "memo-1"), secret="x")))
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "WARNING",
        "logger": "workers.consumer.worker",
        "role": "acoustic",
        "message": "at once",
        "topic": "memos.uploaded",
        "partition": 3,
        "offset": 42,
        "trace_id": TRACE,
        "user": "9ac69f3efb8965d9",
        "memo": line["memo"],
    }
    assert len(line["memo"]) == 16


def test_a_line_of_text_has_its_fields_after_the_message() -> None:
    configure(Settings.load(log_key="key"))
    line = Lines().format(record("at %s", "once", **about(SOURCE, "memo-1"), secret="x"))
    fields = rf"topic=memos\.uploaded partition=3 offset=42 memo=[0-9a-f]{{16}} user=9ac69f3efb8965d9 trace_id={TRACE}"
    assert re.fullmatch(rf".+ WARNING workers\.consumer\.worker: at once {fields}", line)
    assert Lines().format(record("alone")).endswith(" WARNING workers.consumer.worker: alone")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a b", '"a b"'),
        ("", '""'),
        ("a=b", '"a=b"'),
        ('say "a"', '"say \\"a\\""'),
        ("a\nb", r'"a\nb"'),
        ("\x1b[31m", r'"\u001b[31m"'),
    ],
)
def test_text_quotes_values_that_a_parser_would_split(value: str, shown: str) -> None:
    assert Lines().format(record("m", reason=value)).endswith(f": m reason={shown}")


@pytest.mark.parametrize("formatter", [JsonLines("agents"), Lines()])
@pytest.mark.parametrize(
    "value", ["anna", TRACE.upper(), f"{TRACE}\n", f"{TRACE[:-1]}\u0660", f"{TRACE}0", "", None, 7]
)
def test_a_trace_id_that_is_none_is_in_no_line(formatter: logging.Formatter, value: object) -> None:
    logged = formatter.format(record("it failed", topic="risk.scored", trace_id=value))
    assert "trace_id" not in logged
    assert "anna" not in logged
    assert "risk.scored" in logged
    assert TRACE in formatter.format(record("it failed", trace_id=TRACE))


@pytest.mark.parametrize("formatter", [JsonLines("agents"), Lines()])
@given(
    value=st.binary(max_size=80)
    | st.from_regex(rb"\A[0-9a-fA-F]{2}-[0-9a-fA-F]{30,34}-[0-9a-fA-F]{16}-[0-9a-f]{2}.{0,3}\Z")
)
def test_whatever_a_header_holds_a_line_has_a_well_formed_trace_id_or_none(
    formatter: logging.Formatter, value: bytes
) -> None:
    made = record("it failed", **about(replace(SOURCE, key=None, headers={"traceparent": value})))
    fields = r"topic=memos\.uploaded partition=3 offset=42( trace_id=[0-9a-f]{32})?"
    if isinstance(formatter, Lines):
        assert re.fullmatch(rf".+: it failed {fields}", formatter.format(made))
    else:
        told = json.loads(formatter.format(made))
        assert re.fullmatch("[0-9a-f]{32}", told.get("trace_id", TRACE))
        assert told.keys() - {"trace_id"} == {
            "time",
            "level",
            "logger",
            "role",
            "message",
            "topic",
            "partition",
            "offset",
        }


def test_text_has_the_fields_before_an_exception() -> None:
    line = record("it failed", exc_info=failure(KeyError("anna")).exc_info, stage="fusion")
    assert Lines().format(line).splitlines()[0].endswith(": it failed stage=fusion")


def test_without_a_key_no_user_or_memo_is_named() -> None:
    configure(Settings.load())
    assert set(about(SOURCE, "memo-1")) == {"topic", "partition", "offset", "trace_id"}


@pytest.mark.parametrize("formatter", [JsonLines("agents"), Lines()])
def test_an_exception_is_logged_by_type_and_place_without_its_message(formatter: logging.Formatter) -> None:
    logged = formatter.format(failure(KeyError("anna")))
    assert "anna" not in logged
    assert "KeyError" in logged
    assert "service/test_logs.py:" in logged
    assert str(sys.path[0] or "/") not in logged.replace("/test_logs", "")
    assert "audio:missing: no such object" in formatter.format(failure(Poison("audio:missing", "no such object")))


def test_repeats_of_a_library_are_logged_once_a_minute_and_ours_always() -> None:
    now = [0.0]
    once = Once(60.0, lambda: now[0])
    message = "Unable connect to node with id %s: %s"
    logged = []
    for second in range(130):
        now[0] = float(second)
        line = record(message, 1, "refused", name="aiokafka.client")
        if once.filter(line):
            logged.append(line.getMessage())
        assert once.filter(record("ours"))
    assert logged == [
        "Unable connect to node with id 1: refused",
        "Unable connect to node with id 1: refused (59 repeats suppressed)",
        "Unable connect to node with id 1: refused (59 repeats suppressed)",
    ]


def test_other_libraries_log_no_requests_even_at_debug(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Settings.load(log_level="DEBUG", log_format="json"), "acoustic")
    logging.getLogger("aiokafka.conn").debug("SaslAuthenticateRequest(a password)")
    logging.getLogger("workers.consumer.worker").debug("ours")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("beware", stacklevel=1)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["message"].splitlines()[0].split(": ")[-1] for line in lines] == ["ours", "beware"]


@pytest.mark.parametrize("text", ["\x1b[2J", "a\n2026-01-01 ERROR forged", "\u202e", "\x9b31m", "\ud800"])
def test_a_message_stays_on_its_line_and_moves_no_cursor(text: str) -> None:
    for line in (Lines().format(record("failed: %s", text)), JsonLines("acoustic").format(record("failed: %s", text))):
        assert line.isprintable()
    assert json.loads(JsonLines("acoustic").format(record("failed: %s", text)))["message"] == f"failed: {text}"
    (first, *_) = Lines().formatException((Poison, Poison("a:b", text), None)).splitlines()
    assert first.startswith("Poison: a:b: ")
    assert first.isprintable()


def test_lines_of_libraries_pass_from_warnings_on_and_their_clients_errors_as_warnings() -> None:
    passes = Once(60.0)
    info = record("requested", name="botocore.client")
    info.levelno = logging.INFO
    failed = record("Unable connect to %s", "nohost", name="aiokafka")
    failed.levelno, failed.levelname = logging.ERROR, "ERROR"
    assert not passes.filter(info)
    assert passes.filter(failed)
    assert json.loads(JsonLines("agents").format(failed))["level"] == "WARNING"
