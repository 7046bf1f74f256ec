"""`undertone up` and `undertone submit`."""

import asyncio
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, aclosing, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from schemas.errors import ExitCode
from streams.cli.load_settings import check_scoring, load_settings
from streams.cli.printing import AsJson, Printer, printer, progress, tracked
from streams.terminal.arguments import audio_paths, past_moment, pseudonym, some_path
from streams.terminal.files import audio_files
from streams.terminal.parse_time import length

if TYPE_CHECKING:
    from schemas.events import MemoUploaded
    from schemas.settings import Settings
    from streams.local.system import System
    from streams.views.outcomes import Outcome

WAIT = timedelta(minutes=5)
"""Longest wait for outcomes: a system that has just started loads its models first."""


def add_to(app: typer.Typer) -> None:
    """Mount the commands of this module."""
    app.command()(up)
    app.command()(submit)


def up() -> None:
    """Run the whole system: workers, agents, dashboard, and an embedded broker and store.

    KAFKA_BOOTSTRAP and REDIS_URL connect to your own Kafka and Redis; then only workers and agents are started.
    The address of a receiver of alerts (`undertone bridge --help`) starts its bridge as well.

    Data is **sealed** with keys in UNDERTONE_HOME, unless UNDERTONE_SEAL is `off`. With a Kafka, Redis, PostgreSQL or
    key directory of your own, UNDERTONE_SEAL alone decides.

    The embedded broker is for a laptop: **volatile** (in the memory of this process; a journal on disk resubmits
    unfinished memos at the next start), **small** (about 5 MB per partition, oldest records dropped beyond;
    `undertone submit` waits rather than overfill it), four partitions. Use Apache Kafka for anything else.
    """
    settings = load_settings()
    check_scoring(settings)
    asyncio.run(_up(settings))


async def _up(settings: "Settings") -> None:
    from streams.local.dashboard import INSTALL
    from streams.local.discover import without_credentials
    from streams.local.system import System

    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with System(settings) as system:
        kind = "embedded" if system.embedded else "external"
        address = without_credentials(system.settings.redis_url or "")
        # The output of a service is kept, and the path of a home may name a person.
        address = address.replace(str(settings.home.resolve()), "$UNDERTONE_HOME")
        output, bootstrap = printer(as_json=False), system.settings.kafka_bootstrap
        output.note(f"undertone is up ({kind} broker): KAFKA_BOOTSTRAP={bootstrap} REDIS_URL={address}")
        if system.settings.seal == "on":
            output.note("data is sealed: whoever loses keys.db or keyset.json of UNDERTONE_HOME cannot read it again")
        output.note("next: `undertone submit memo.m4a --user someone --wait`, `undertone scores`; Ctrl-C stops it")
        if system.dashboard is None:
            output.note(f"no dashboard: its packages are not installed; {INSTALL}")
        running = asyncio.create_task(system.run())
        stopping = asyncio.create_task(stop.wait())
        showing = asyncio.create_task(_show_dashboard(system, output))
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        showing.cancel()
        if running.done():
            running.result()
        running.cancel()


async def _show_dashboard(system: "System", output: Printer) -> None:
    """Print the address of the dashboard once it answers there."""
    if system.dashboard is not None:
        await system.dashboard.answers()
        output.note(f"dashboard: {system.dashboard.address}")


class Sent(NamedTuple):
    """A file and the event of its memo."""

    path: Path
    event: "MemoUploaded"

    @property
    def memo(self) -> tuple[str, str]:
        """User and memo: memo ids are unique per user only."""
        return self.event.user_id, self.event.memo_id

    def line(self) -> dict[str, object]:
        """The fields of its JSON line."""
        event = self.event
        return {"path": str(self.path), "memo_id": event.memo_id, "recorded_at": event.recorded_at.isoformat()}


def submit(
    paths: Annotated[
        list[Path],
        typer.Argument(
            parser=some_path, callback=audio_paths, metavar="PATHS...", help="Audio files, or folders of them."
        ),
    ],
    user: Annotated[str, typer.Option(parser=pseudonym, metavar="USER", help="Pseudonym of the speaker.")],
    recorded_at: Annotated[
        datetime | None,
        typer.Option(
            parser=past_moment,
            metavar="TIME",
            help="Time of recording, RFC 3339 (UTC without a zone). Default: the file's modification time.",
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until each memo has a score or a dead letter, and print it.")
    ] = False,
    timeout: Annotated[
        timedelta | None, typer.Option(parser=length, help="Longest wait: 30s, 5m. Default: 5m; needs --wait.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Submit memos. The same file, user and time is the same memo: submitting it twice has no effect.

    With --wait the exit code is 0 when every memo has a score, 1 when one could not be submitted or became a dead
    letter, 69 when one has neither after the timeout.
    """
    from workers.service.tracing import tracing

    if timeout is not None and not wait:
        raise typer.BadParameter("needs --wait", param_hint="--timeout")
    settings, output = load_settings(), printer(as_json)
    with tracing(settings, "submit"):
        sent, failures = asyncio.run(_submit(settings, audio_files(paths), user, recorded_at, output, quiet=wait))
    if wait and sent:
        failures += asyncio.run(_wait(settings, sent, WAIT if timeout is None else timeout, output))
    raise typer.Exit(ExitCode.FAILED if failures else ExitCode.OK)


async def _submit(
    settings: "Settings", files: list[Path], user: str, recorded_at: datetime | None, output: Printer, *, quiet: bool
) -> tuple[list[Sent], int]:
    """What was submitted, and how many files could not be. quiet: print faults alone."""
    from schemas.errors import Poison
    from schemas.schema_registry import make_codec
    from streams.local.discover import connected, running
    from streams.local.inbox import Inbox
    from streams.local.journal import Journal
    from streams.local.submit import Submitter, event_of, uri_maker
    from workers.privacy.files.audio_copies import AudioCopies
    from workers.privacy.sealing import sealing_of

    sent, failures = list[Sent](), 0
    with ExitStack() as exits:
        found = running(settings)
        live = connected(settings, redis=False)
        here = found is not None and found.bootstrap == live.kafka_bootstrap
        journal = exits.enter_context(Journal(settings.home / "journal.db", sealing=sealing_of(live))) if here else None
        uri_of = uri_maker(settings, Inbox(settings.home / "audio", AudioCopies(live)) if here else None)
        codec = make_codec(live)
        if journal is not None and found is not None and not found.embedded:
            opening = Submitter.open_durable(live, codec, journal)
        else:
            opening = Submitter.open(live, codec, journal)
        async with opening as submitter:
            for path in tracked(files, "submitting") if len(files) > 1 else files:
                try:
                    event = await asyncio.to_thread(event_of, path, user, recorded_at, uri_of)
                except Poison as poison:
                    failures += 1
                    output.lines([{"path": str(path), "error": poison.detail}], _fault)
                    continue
                await submitter.send(event)
                sent.append(Sent(path, event))
                if not quiet:
                    output.lines([sent[-1].line()], lambda line: f"{line['path']}: memo {line['memo_id']}")
    return sent, failures


def _fault(line: Mapping[str, object]) -> str:
    return f"{line['path']}: {line['error']}"


async def _wait(settings: "Settings", sent: Sequence[Sent], longest: timedelta, output: Printer) -> int:
    """Print the outcome of each memo as it comes; how many are dead letters. Raises Transient after `longest`."""
    from schemas.errors import Transient
    from schemas.events import DeadLetter
    from schemas.schema_registry import make_codec
    from streams.local.discover import connected
    from streams.views.outcomes import Outcomes
    from streams.views.reading import outcomes_of

    live = connected(settings, redis=False)
    outcomes, waiting = Outcomes.of(each.memo for each in sent), list(sent)
    polls = outcomes_of(live, make_codec(live), sent[0].event.user_id, outcomes)
    with progress(len(sent), "waiting for scores") as done, suppress(TimeoutError):
        async with asyncio.timeout(longest.total_seconds()), aclosing(polls):
            async for _ in polls:
                for each in [each for each in waiting if each.memo in outcomes.found]:
                    waiting.remove(each)
                    output.lines([_outcome(each, outcomes.found[each.memo])], _outcome_sentence)
                    done(1)
                if not waiting:
                    break
    for each in waiting:
        output.lines([_outcome(each, None)], _outcome_sentence)
    if waiting:
        raise Transient(
            f"{len(waiting)} of {len(sent)} memos have neither a score nor a dead letter after "
            f"{longest.total_seconds():.0f} s: check that workers and agents run and their lag "
            "(`undertone topics describe`), or wait longer (--timeout)"
        )
    return sum(isinstance(outcomes.found[each.memo], DeadLetter) for each in sent)


def _outcome(sent: Sent, outcome: "Outcome | None") -> dict[str, object]:
    """The JSON line of a memo that was waited for: one of `score` and `dead_letter`, or none of them."""
    from schemas.events import RiskScored

    score, letter = (outcome, None) if isinstance(outcome, RiskScored) else (None, outcome)
    names = ("dead_letter_id", "at", "stage", "reason", "detail")
    failed = None if letter is None else {name: getattr(letter, name) for name in names}
    return {**sent.line(), "score": score, "dead_letter": failed}


def _outcome_sentence(line: Mapping[str, Any]) -> str:
    from streams.views.scores import evidence_text, probability_text

    score, failed = line["score"], line["dead_letter"]
    if failed is not None:
        return f"{line['path']}: dead letter {failed['dead_letter_id']}: {failed['reason']}: {failed['detail']}"
    if score is None:
        return f"{line['path']}: no outcome yet"
    reasons = f" ({', '.join(score.reasons)})" if score.reasons else ""
    evidence = f", {text}" if (text := evidence_text(score)) else ""
    return f"{line['path']}: {score.band}{reasons}, probability {probability_text(score)}{evidence}"
