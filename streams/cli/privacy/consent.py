"""`undertone consent`: record or show whether a person may be listened to."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.load_settings import load_settings
from streams.cli.printing import AsJson, printer, progress
from streams.terminal.arguments import one_of, pseudonym

if TYPE_CHECKING:
    from schemas.settings import Settings
    from streams.terminal.consent_lines import ConsentLine
    from workers.consumer.consents import Standing

STATES = ("given", "paused", "withdrawn")


def add_to(app: typer.Typer) -> None:
    """Mount the command."""
    app.command()(consent)


def _unnamed(context: typer.Context, value: str | None) -> str | None:
    """Refuse a reason that names the person, whichever of both options comes first."""
    given = {**context.params, "user": value} if "reason" in context.params else {**context.params, "reason": value}
    user, reason = given.get("user"), given.get("reason")
    if user and reason and user in reason:
        raise typer.BadParameter("the reason names the person, and would stay in the audit trail: leave the name out")
    return value


def consent(
    user: Annotated[
        str,
        typer.Option(parser=pseudonym, metavar="USER", help="Pseudonym of the person.", callback=_unnamed),
    ],
    state: Annotated[
        str | None,
        typer.Argument(parser=one_of(*STATES), metavar="|".join(STATES), help="What was said; none shows the last."),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Why, as the audit trail says it; without the pseudonym.", callback=_unnamed),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Record whether a person may be listened to, or show what was last recorded.

    While a consent is paused or withdrawn no worker fetches or opens that person's memos: each gets an indeterminate
    score with the reason, and is not read later either. It holds for every memo that is read after this command has
    ended. What was found out before stays until `undertone erase`. UNDERTONE_CONSENT says what holds for somebody who
    never said anything.
    """
    if state is not None and reason is None:
        raise typer.BadParameter("say why", param_hint="--reason")
    from streams.local.discover import connected

    settings = connected(load_settings(), redis=False)
    with progress(None, "recording" if state else "reading care.consents"):
        standing = asyncio.run(_said(settings, user, state, reason))
    done = _line(settings, user, standing)
    output = printer(as_json)
    output.data(done)
    output.note(_sentence(done))
    if done["state"] == "withdrawn":
        output.note("to erase what is held of this person: `undertone erase --user … --reason … --certificate FILE`")


async def _said(settings: "Settings", user: str, state: str | None, reason: str | None) -> "Standing | None":
    """Record what was said, if anything was, and read what holds."""
    from schemas.schema_registry import make_codec
    from workers.consumer.consents import open_consents

    codec = make_codec(settings)
    if state is not None:
        from schemas.event_enums import ConsentState
        from schemas.topics import CONSENTS
        from streams.api.publish import ACKNOWLEDGED_WITHIN_S, Publisher
        from streams.audit.command_events import actor_of
        from streams.context.consent import consent_of
        from workers.kafka.clients import make_producer
        from workers.kafka.connect import started_once, stopped
        from workers.privacy.sealing import sealing_of

        said = consent_of(user, ConsentState(state), actor_of(settings).name, reason, datetime.now(UTC))
        if said.state is ConsentState.GIVEN:
            await sealing_of(settings).keys_of(user, enrol=True)  # whoever was erased returns by that
        producer = await started_once(lambda: make_producer(settings), settings)
        try:
            await Publisher(producer, codec, ACKNOWLEDGED_WITHIN_S).publish(CONSENTS, user, said)
        finally:
            await stopped(producer)
    async with open_consents(settings, codec) as consents:
        return await consents.standing(user)


def _line(settings: "Settings", user: str, standing: "Standing | None") -> "ConsentLine":
    from workers.consumer.consents import refused_by

    return {
        "user_id": user,
        "state": None if standing is None else standing.state.value,
        "since": None if standing is None else standing.since.isoformat(),
        "read": refused_by(standing, required=settings.consent == "required") is None,
    }


def _sentence(line: "ConsentLine") -> str:
    memos = "memos are read" if line["read"] else "no memo is read"
    if line["state"] is None:
        return f"{line['user_id']} never said anything: {memos}"
    return f"{line['user_id']}: {line['state']} since {line['since']}, {memos}"
