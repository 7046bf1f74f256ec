"""`undertone audit`: verify the audit trail, list and export it, and sign a head."""

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import ExitCode
from streams.cli.load_settings import load_settings
from streams.cli.printing import AsJson, Column, printer, progress, warn
from streams.terminal.arguments import identifier, past_since_moment, pseudonym

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.events import AuditEvent
    from schemas.settings import Settings
    from streams.audit.check import Checked
    from streams.audit.verify import Stored
    from streams.terminal.audit_lines import AnchoredHead, AuditFinding, AuditVerified, ExportedEvent, ExportedHead

audit_app = typer.Typer(help="Verify, list and export the trail of who did and saw what.", no_args_is_help=True)

SHOWN = 20
NEWEST = 50


def add_to(app: typer.Typer) -> None:
    """Mount the commands of this module."""
    app.add_typer(audit_app, name="audit")


@audit_app.command()
def verify(as_json: AsJson = False) -> None:
    """Check every event on `audit.events` against the signed heads and its chain.

    A changed, removed, swapped, invented, replayed or cut event is named, with the last head up to which everything is
    as it was signed; then the exit code is 1. The heads are read from UNDERTONE_AUDIT_ANCHORS and must be signed by
    UNDERTONE_AUDIT_PUBLIC_KEY. Without heads only the chains are checked: an end that was cut off goes unnoticed.
    """
    from streams.audit.check import check_trail

    with progress(None, "reading audit.events"):
        checked = asyncio.run(check_trail(_settings()))
    output, found = printer(as_json), checked.verdict.findings
    output.data(_verified(checked))
    for sentence in _sentences(checked):
        output.note(sentence)
    for each in found[:SHOWN]:
        place = "" if each.partition is None or each.offset is None else f" at {each.partition}:{each.offset}"
        event = f" (event {each.audit_id})" if each.audit_id else ""
        output.note(f"{each.kind}{place}: {each.says}{event}")
    if len(found) > SHOWN:
        output.note(f"and {len(found) - SHOWN} more; --json has all")
    if not checked.verdict.heads:
        warn("no signed heads: set UNDERTONE_AUDIT_SIGNING_KEY and UNDERTONE_AUDIT_ANCHORS")
    if found:
        raise typer.Exit(ExitCode.FAILED)


def _sentences(checked: "Checked") -> "Iterator[str]":
    verdict = checked.verdict
    counts = (f"{verdict.events} events of {verdict.writers} writers", f"{verdict.heads} heads")
    yield f"{', '.join(counts)}, {len(verdict.findings)} findings"
    if checked.holds_at is not None:
        yield f"head {verdict.holds} of {checked.holds_at:%Y-%m-%d %H:%M:%S} UTC holds"
    if checked.witnessed:
        yield f"head {checked.witnessed} has a time stamp of a trusted authority"
    if verdict.heads and verdict.unsigned:
        yield f"{verdict.unsigned} events are newer than the last head"


def _verified(checked: "Checked") -> "AuditVerified":
    verdict = checked.verdict
    findings: list[AuditFinding] = [
        {
            "kind": each.kind.value,
            "says": each.says,
            "head": each.head,
            "partition": each.partition,
            "offset": each.offset,
            "writer": each.writer,
            "seq": each.seq,
            "audit_id": each.audit_id,
        }
        for each in verdict.findings
    ]
    return {
        "events": verdict.events,
        "writers": verdict.writers,
        "unchained": verdict.unchained,
        "unsigned": verdict.unsigned,
        "heads": verdict.heads,
        "holds": verdict.holds,
        "holds_at": None if checked.holds_at is None else checked.holds_at.isoformat(),
        "witnessed": checked.witnessed,
        "findings": findings,
    }


Since = Annotated[
    datetime | None,
    typer.Option(
        parser=past_since_moment, metavar="TIME", help="Since this time: RFC 3339, or an age (90m, 12h, 3d, 2w)."
    ),
]


@audit_app.command("list")
def list_events(
    since: Since = None,
    actor: Annotated[str | None, typer.Option(parser=identifier, metavar="ACTOR", help="Only by this one.")] = None,
    user: Annotated[
        str | None, typer.Option(parser=pseudonym, metavar="USER", help="Only about the user of this pseudonym.")
    ] = None,
    changes: Annotated[
        bool, typer.Option("--changes", help="Only starts with another version, settings or bundle than before.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="Most events of a table, the newest.")] = NEWEST,
    as_json: AsJson = False,
) -> None:
    """List who did and saw what, oldest first. Events name people by pseudonym, or by a keyed hash of it."""
    from streams.audit.settings import keys_of
    from streams.roles.start_events import changes as changed

    settings = _settings()
    names = {user, keys_of(settings).person(user)} if user else set[str]()
    with progress(None, "reading audit.events"):
        events = [event for _, event in asyncio.run(_read(settings)) if event is not None]
    events.sort(key=lambda event: event.at)
    found = [
        event
        for event in (changed(events) if changes else events)
        if (since is None or event.at >= since)
        and actor in (None, event.actor)
        and (not names or names.intersection(event.user_ids))
    ]
    output = printer(as_json)
    output.table(found if as_json else found[-limit:], _columns())
    if len(found) > limit:
        output.note(f"the {limit} newest of {len(found)} events; --limit shows more")


def _columns() -> "list[Column[AuditEvent]]":
    return [
        Column("at", lambda event: f"{event.at:%Y-%m-%d %H:%M:%S}"),
        Column("actor", lambda event: event.actor),
        Column("by", lambda event: event.proof),
        Column("action", lambda event: event.action if event.allowed else f"{event.action}, refused"),
        Column("what", lambda event: event.resource),
        Column("users", lambda event: _people(event.user_ids)),
        Column("reason", lambda event: event.reason),
    ]


def _people(user_ids: tuple[str, ...]) -> str:
    return ", ".join(user_ids) if len(user_ids) < 3 else f"{len(user_ids)} users"


@audit_app.command()
def export(
    as_json: Annotated[bool, typer.Option("--json", help="Accepted; the lines are JSON without it, too.")] = False,
) -> None:
    """Print every event with its record, then every signed head, as JSON lines: what an auditor verifies elsewhere.

    `docs/audit.md` says how. Redirect it into a file.
    """
    from schemas.json_records import to_plain
    from streams.audit.anchors import make_anchors

    settings, output = _settings(), printer(as_json=True)
    for record, event in asyncio.run(_read(settings)):
        plain = None if event is None else to_plain(event)
        exported: ExportedEvent = {
            "partition": record.partition,
            "offset": record.offset,
            "key": None if record.key is None else record.key.hex(),
            "value": None if record.value is None else record.value.hex(),
            "event": plain if isinstance(plain, dict) else None,  # type: ignore[typeddict-item]  # JSON is invariant
        }
        output.data(exported)
    for anchor in make_anchors(settings):
        for line in anchor.lines():
            head: ExportedHead = {"anchor": anchor.name, "line": line.decode(errors="replace")}
            output.data(head)


@audit_app.command()
def anchor(as_json: AsJson = False) -> None:
    """Sign a head over all events so far, and put it to UNDERTONE_AUDIT_ANCHORS.

    `undertone history` does so every UNDERTONE_AUDIT_HEAD_S; run this from a timer instead, on a machine that those who
    administer Kafka do not reach.
    """
    from streams.audit.notary import sign_heads

    with progress(None, "reading audit.events"):
        signed = asyncio.run(sign_heads(_settings()))
    head = None if signed is None else signed.head
    number, events = (None, None) if head is None else (head.number, head.events)
    done: AnchoredHead = {"head": number, "events": events}
    output = printer(as_json)
    output.data(done)
    output.note("no events since the last head" if head is None else f"head {number} covers {events} events")


async def _read(settings: "Settings") -> "list[tuple[Stored, AuditEvent | None]]":
    """Every record, and its event where it is one."""
    from schemas.codec import DecodeError
    from schemas.events import AuditEvent
    from schemas.schema_registry import make_codec
    from streams.audit.reading import read_trail

    found: list[tuple[Stored, AuditEvent | None]] = []
    codec = make_codec(settings)

    def take(record: "Stored") -> None:
        try:
            found.append((record, codec.decode(record.value, AuditEvent)))
        except DecodeError:
            found.append((record, None))

    await read_trail(settings, lambda extent: extent.begins, take)
    return found


def _settings() -> "Settings":
    from streams.local.discover import connected

    return connected(load_settings(), redis=False)
