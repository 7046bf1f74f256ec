"""What is told to Undertone 0.1, and afterwards to 0.1 and to any later version alike.

`before()` makes the state of `redis_0_1.json`, `after()` is what comes next on that state, `replay_lines()` is what
back-tests read. All of it follows from fixed moments and seeds; numbers are rounded, so that no library's last digit
matters. Nothing is imported but what travels between processes, so these records outlive every move of a module.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import exp
from typing import Any, cast
from zlib import crc32

import numpy as np

from schemas.codec import Codec
from schemas.events import (
    Band,
    DeadLetter,
    Extractor,
    FloatArray,
    MemoFeatures,
    MemoUploaded,
    Modality,
    Quality,
    Record,
    RiskScored,
)
from schemas.ids import dead_letter_id, derived_id
from schemas.json_records import to_plain

BUNDLE, BUNDLE_BEFORE = "toy-1", "toy-0"
"""The bundle that scores, and the one that scored before it."""
ACOUSTIC = Extractor("toy-acoustic", "1", "a" * 64)
EMBEDDING = Extractor("toy-encoder", "1", "b" * 64)
OTHER = Extractor("toy-acoustic", "2", "a" * 64)
"""One whose features the bundle was not trained on."""
NAMES = ("pitch_sd", "pause_share", "pause_rate", "mfcc1")
GOOD = Quality(speech_s=8.0, snr_db=30.0, clipped=0.0, bandwidth_hz=7000.0)
NOISY = replace(GOOD, snr_db=1.0, reasons=("quality:noisy",))
BOTH = (Modality.ACOUSTIC, Modality.EMBEDDING)

DAY_0 = datetime(2026, 2, 10, 8, tzinfo=UTC)
NOW = DAY_0 + timedelta(days=80, hours=4)
"""The moment at which 0.1 is stopped and its Redis is kept."""
LATER = NOW + timedelta(days=11)
JOINS_SINCE = DAY_0 + timedelta(days=74)
"""Joins of memos recorded earlier have expired by then."""


class To(StrEnum):
    """Who is given a batch."""

    FUSION = "fusion"
    """Features, to be joined and scored."""
    LETTERS = "letters"
    """Dead letters, whose joins are not waited for any longer."""
    TIMER = "timer"
    """Nothing: joins that are overdue are given up."""
    DRIFT = "drift"
    """Scores, to be followed."""


class Dies(StrEnum):
    """Where the process dies before a batch is done."""

    NOWHERE = ""
    SCORING = "scoring"
    """The joins are written, no score is made."""
    DELIVERY = "delivery"
    """Scores or alerts are kept in the state, none has been sent."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that one process is given at one moment. redrives: how often an operator had sent them back."""

    name: str
    to: To
    at: datetime
    records: tuple[Record, ...] = ()
    redrives: int = 0
    dies: Dies = Dies.NOWHERE
    bundle: str = BUNDLE


# Memos and their features


def memo(
    user: str, number: int, *, pause: float = 0.0, quality: Quality = GOOD, only: Sequence[Modality] = BOTH,
    undefined: bool = False, maker: Extractor = ACOUSTIC,
) -> tuple[MemoFeatures, ...]:  # fmt: skip
    """The parts of a user's memo of day `number`; the same call gives the same parts.

    pause: added to the share of pauses, in population SDs; undefined: the pitch could not be measured.
    """
    rng = np.random.default_rng([crc32(user.encode()), number])
    heard = rng.normal(0, 0.8, 4).round(3)
    heard[1] += pause
    seen = rng.normal(0, 0.8, 3).round(3)
    if undefined:
        heard[0] = np.nan
    acoustic = _part(user, number, Modality.ACOUSTIC, maker, heard, quality)
    acoustic = replace(acoustic, undefined=("pitch_sd:unvoiced",) if undefined else ())
    parts = (acoustic, _part(user, number, Modality.EMBEDDING, EMBEDDING, seen, quality))
    return tuple(part for part in parts if part.modality in only)


def memos(user: str, days: Iterable[int]) -> Iterator[MemoFeatures]:
    """Whole memos, one a day."""
    for day in days:
        yield from memo(user, day)


def _part(
    user: str, number: int, modality: Modality, maker: Extractor, values: np.ndarray, quality: Quality
) -> MemoFeatures:
    summary: FloatArray = values.astype(np.float32)
    at = moment(user, number)
    return MemoFeatures(
        memo_id=memo_id(user, number),
        user_id=user,
        recorded_at=at,
        uploaded_at=at + timedelta(minutes=5),
        modality=modality,
        extractor=maker,
        duration_s=10.0,
        window_s=15.0,
        windows=summary[None, :],
        summary=summary,
        names=NAMES if modality is Modality.ACOUSTIC else (),
        quality=quality,
    )


def moment(user: str, number: float) -> datetime:
    """When a user records on that day."""
    return DAY_0 + timedelta(minutes=crc32(user.encode()) % 120) + timedelta(seconds=round(number * 86400))


def memo_id(user: str, number: int) -> str:
    """Id of the memo of that day."""
    return f"{user}-m{number:03d}"


def letter(user: str, number: int) -> DeadLetter:
    """What the worker of embeddings writes of a memo that it cannot read."""
    at = moment(user, number)
    upload = MemoUploaded(memo_id(user, number), user, at, at + timedelta(minutes=5), f"memory://{user}/{number}.wav")
    return DeadLetter(
        dead_letter_id=dead_letter_id("embedding", "memos.uploaded", 0, number),
        stage="embedding",
        topic="memos.uploaded",
        partition=0,
        offset=number,
        key=user.encode(),
        value=Codec().encode(upload),
        headers={},
        reason="audio:undecodable",
        detail="No decoder reads these bytes.",
        at=at + timedelta(minutes=6),
    )


# Scores


def scores(
    user: str, days: Iterable[float], *, mean: float = -2.0, rise: float = 0.0, since: float = 0.0,
    bundle: str = BUNDLE,
) -> list[RiskScored]:  # fmt: skip
    """One score a day. mean: of the logits, whose SD is a half; rise: added from day `since` on."""
    found = []
    for day in days:
        rng = np.random.default_rng([crc32(user.encode()), round(day * 1000), 1])
        logit = mean + 0.5 * rng.normal() + (rise if day >= since else 0.0)
        found.append(score(user, day, logit, bundle=bundle))
    return found


def score_id_0_1(memo: str, bundle: str) -> str:
    """Id that 0.1 gave a score, without the user."""
    return derived_id("score", memo, bundle)


def score(user: str, day: float, logit: float | None, *, bundle: str = BUNDLE) -> RiskScored:
    """The score of one memo; without a logit it is indeterminate."""
    memo, at = f"{user}-s{day:g}", moment(user, day)
    uploaded_at = at + timedelta(minutes=5)
    probability = None if logit is None else round(1 / (1 + exp(-logit)), 6)
    band = Band.INDETERMINATE if probability is None else Band.HIGH if probability >= 0.6 else Band.LOW
    return RiskScored(
        score_id=score_id_0_1(memo, bundle),
        memo_id=memo,
        user_id=user,
        recorded_at=at,
        uploaded_at=uploaded_at,
        scored_at=uploaded_at + timedelta(seconds=2),
        probability=probability,
        band=band,
        reasons=("quality:noisy",) if probability is None else (),
        evidence=(),
        modalities=BOTH,
        bundle_id=bundle,
    )


def in_order(*several: Iterable[RiskScored]) -> tuple[RiskScored, ...]:
    """Scores of several users as they come."""
    return tuple(sorted((one for each in several for one in each), key=lambda one: (one.recorded_at, one.memo_id)))


def irregular(user: str, days: Iterable[int]) -> Iterator[RiskScored]:
    """Two or no memos on some days, some indeterminate, some a day late, some twice."""
    held: list[RiskScored] = []
    for day in days:
        if day % 11 == 0:
            continue
        (one,) = scores(user, [day])
        yield from held
        held.clear()
        if day % 6 == 0:
            held.append(one)
        elif day % 7 == 0:
            yield score(user, day, None)
        else:
            yield one
        if day % 5 == 0:
            yield from scores(user, [day + 0.25])
            yield one
    yield from held


# The story


def before() -> list[Batch]:
    """What 0.1 had been told when it was stopped; what has to be done between the batches, `generate.py` does."""
    hour = timedelta(hours=1)
    return [
        Batch("of the bundle before", To.FUSION, NOW - 10 * hour, _learnt_before(), bundle=BUNDLE_BEFORE),
        Batch("learning", To.FUSION, NOW - 9 * hour, _learnt()),
        Batch("following", To.DRIFT, NOW - 8 * hour, _followed()),
        Batch("alert undelivered", To.DRIFT, NOW - 7 * hour, _undelivered(), dies=Dies.DELIVERY),
        Batch("under the next prior", To.DRIFT, NOW - 6 * hour, _begun_later()),
        Batch("during an episode", To.FUSION, NOW - 5 * hour, tuple(memos("boris-01", range(77, 80)))),
        Batch("closed: one part", To.FUSION, NOW - 4 * hour, memo("anna-01", 101, only=BOTH[:1])),
        Batch("closed: too late", To.TIMER, NOW - 3 * hour),
        Batch("closing: one part", To.FUSION, NOW - 2 * hour, memo("anna-01", 102, only=BOTH[1:])),
        Batch("closing: dies", To.TIMER, NOW - 1 * hour, dies=Dies.DELIVERY),
        Batch("dead: one part", To.FUSION, NOW, memo("cleo-01", 103, only=BOTH[:1])),
        Batch("dead", To.LETTERS, NOW, (letter("cleo-01", 103), letter("cleo-01", 104))),
        Batch("dead: not of the bundle", To.FUSION, NOW, memo("cleo-01", 105, maker=OTHER)),
        Batch("open", To.FUSION, NOW, tuple(_first_parts())),
        Batch("complete: not scored", To.FUSION, NOW, memo("anna-01", 108, only=BOTH[1:]), dies=Dies.SCORING),
        Batch("complete: not sent", To.FUSION, NOW, memo("lea-01", 109, only=BOTH[1:]), dies=Dies.DELIVERY),
        Batch("one score undelivered", To.FUSION, NOW, memo("lea-01", 110), dies=Dies.DELIVERY),
        Batch("many scores undelivered", To.FUSION, NOW, _undelivered_scores(), dies=Dies.DELIVERY),
    ]  # fmt: skip


def after() -> list[Batch]:
    """What comes next, for 0.1 as well as for a later version on the state that 0.1 left."""
    soon, minute = NOW + timedelta(minutes=5), timedelta(minutes=1)
    return [
        Batch("an open join is completed", To.FUSION, soon, memo("anna-01", 106, only=BOTH[1:])),
        Batch("a settled memo comes again", To.FUSION, soon, memo("anna-01", 79)),
        Batch("an expired memo comes again", To.FUSION, soon, memo("anna-01", 60)),
        Batch("a part of a closed join", To.FUSION, soon, memo("anna-01", 101, only=BOTH[1:])),
        Batch("a part of a closing join", To.FUSION, soon, memo("anna-01", 102, only=BOTH[:1])),
        Batch("the closing join is due", To.TIMER, soon),
        Batch("complete and not scored", To.FUSION, soon, memo("anna-01", 108, only=BOTH[1:])),
        Batch("complete and not sent", To.FUSION, soon, memo("lea-01", 109, only=BOTH[1:])),
        Batch("one undelivered score", To.FUSION, soon, memo("lea-01", 110)),
        Batch("many undelivered scores", To.FUSION, soon, _undelivered_scores()),
        Batch("parts of dead memos", To.FUSION, soon, (*memo("cleo-01", 103), *memo("cleo-01", 105))),
        Batch("a dead memo redriven", To.FUSION, soon, memo("cleo-01", 103, only=BOTH[1:]), redrives=1),
        Batch("another redriven", To.FUSION, soon, memo("cleo-01", 104), redrives=1),
        Batch("mended features redriven", To.FUSION, soon, memo("cleo-01", 105, only=BOTH[:1]), redrives=1),
        Batch("new memos", To.FUSION, soon, _new_memos()),
        Batch("memos during an episode", To.FUSION, soon, tuple(memos("boris-01", range(80, 82)))),
        Batch("the first five days", To.DRIFT, LATER, _more(range(81, 86))),
        Batch("the first five days again", To.DRIFT, LATER, _more(range(81, 86))),
        Batch("five more days", To.DRIFT, LATER, _more(range(86, 91))),
        Batch("memos after an episode", To.FUSION, LATER, tuple(memos("boris-01", range(91, 94)))),
        Batch("open joins are overdue", To.TIMER, LATER + minute),
    ]  # fmt: skip


def _learnt() -> tuple[MemoFeatures, ...]:
    """Whole memos of users whose baselines are old, young and in between."""
    return (
        *memos("anna-01", range(80)),
        *memos("boris-01", range(40, 77)),
        *memos("cleo-01", range(68, 80)),
        *memos("lea-01", range(50, 80)),
        *memos("max-01", range(50, 64)),
        *memo("kim-01", 77, undefined=True),
        *memo("kim-01", 78, quality=NOISY),
        *memo("kim-01", 79),
    )


def _learnt_before() -> tuple[MemoFeatures, ...]:
    return tuple(memos("emma-01", range(60, 70)))


def _first_parts() -> Iterator[MemoFeatures]:
    for user, number in (("anna-01", 106), ("anna-01", 107), ("anna-01", 108), ("lea-01", 109)):
        yield from memo(user, number, only=BOTH[:1])


def _undelivered_scores() -> tuple[MemoFeatures, ...]:
    return tuple(memos("max-01", range(64, 80)))


def _new_memos() -> tuple[MemoFeatures, ...]:
    return (
        *memos("anna-01", range(111, 116)),
        *memo("anna-01", 116, pause=4.0),
        *memo("anna-01", 117, quality=NOISY),
        *memo("cleo-01", 118, undefined=True),
        *memos("emma-01", range(80, 83)),
        *memos("kim-01", range(80, 83)),
        *memos("lea-01", range(111, 113)),
        *memos("max-01", range(80, 100)),
        *memos("nora-01", range(80, 83)),
        *memo("nora-01", 83, maker=OTHER),
    )


def _followed() -> tuple[RiskScored, ...]:
    """Seventy-five days: calm, changed, high, changed and back, of the bundle before, irregular; and muted ones."""
    days = range(5, 80)
    return (
        *in_order(
            scores("anna-01", days),
            scores("boris-01", days, rise=1.5, since=66),
            scores("cleo-01", days, mean=0.2, rise=0.5, since=73),
            scores("david-01", range(5, 70)),
            scores("emma-01", range(5, 70), bundle=BUNDLE_BEFORE),
            scores("frank-01", days),
            scores("greta-01", days, rise=1.5, since=66),
            scores("iris-01", range(5, 56)),
            scores("iris-01", range(56, 66), rise=1.8),
            scores("iris-01", range(66, 80), rise=-0.4),
            scores("pilot-01", days, rise=1.5, since=66),
            scores("pilot-02", days),
        ),
        *irregular("jonas-01", days),
    )


def _undelivered() -> tuple[RiskScored, ...]:
    return tuple(scores("david-01", range(70, 80), rise=1.6))


def _begun_later() -> tuple[RiskScored, ...]:
    """A new bundle for one user, with a straggler of the one before; and a user who begins."""
    return in_order(
        scores("emma-01", range(70, 80)),
        scores("emma-01", [70.25], bundle=BUNDLE_BEFORE),
        scores("oskar-01", range(74, 80)),
    )


def _more(days: range) -> tuple[RiskScored, ...]:
    """Some more days of everybody: episodes end or go on, one begins, someone is new; with a late and a known memo."""
    return (
        *scores("anna-01", [79]),
        *scores("anna-01", [40.25]),
        *in_order(
            *(scores(user, days) for user in ("emma-01", "iris-01", "oskar-01", "paula-01", "pilot-02")),
            scores("anna-01", days, rise=2.0),
            scores("boris-01", days, rise=-0.4),
            scores("cleo-01", days, mean=0.2, rise=-1.5),
            scores("david-01", days, rise=1.6),
            scores("frank-01", days, rise=2.0),
            scores("greta-01", days, rise=-0.4),
            scores("pilot-01", days, rise=3.0),
        ),
        *irregular("jonas-01", days),
    )


# Back-tests

REPLAYED_USERS, REPLAYED_DAYS = 40, 120
LATE_BY_DAYS = 2.0
"""The reorder window."""


def replay_lines() -> list[str]:
    """Forty users' scores of 120 days, as lines that a back-test reads, out of order within the reorder window.

    Users change and come back, rise slowly, fall silent, turn up twice a day; some scores are indeterminate or come
    twice, every third user gets a new bundle, every second has bands. Of the last lines a back-test leaves some out:
    one too late, one of a clock that was ahead, and those that a full day does not take.
    """
    rng = np.random.default_rng(20260210)
    lines = [line for number in range(REPLAYED_USERS) for line in _history(number, rng)]
    keyed = [(line["day"] + float(rng.uniform(0, LATE_BY_DAYS)), line) for line in lines]
    shaken = [line for _, line in sorted(keyed, key=lambda pair: (pair[0], pair[1]["memo_id"]))]
    shaken += [_line("user-03", "late", 20.5, -1.0), _line("user-04", "ahead", 130.0, -1.0, uploaded=110.0)]
    shaken += [_line("user-05", f"crowd-{n:02d}", 119.4 + n / 1000, -1.0) for n in range(60)]
    return [json.dumps({name: said for name, said in line.items() if name != "day"}) for line in shaken]


def _history(number: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    user = f"user-{number:02d}"
    mean, sd, phi = rng.uniform(-2, 0), rng.uniform(0.3, 0.8), rng.uniform(0, 0.5)
    begins, lasts, rise = rng.integers(25, 80), rng.integers(10, 60), (0.0, 1.5, 2.5, 0.8)[number % 4] * sd
    silent, moves = rng.integers(20, 90), 60 if number % 3 == 0 else 999
    deviation = 0.0
    for day in range(REPLAYED_DAYS):
        for turn in range(1 + (rng.random() < number / 80)):
            deviation = phi * deviation + np.sqrt(1 - phi**2) * rng.normal()
            slow = 0.02 * max(0, day - int(begins)) * sd if number % 8 == 5 else 0.0
            logit = mean + sd * deviation + slow + (rise if begins <= day < begins + lasts else 0.0)
            chance, hour = rng.random(), rng.uniform(0.3, 0.4) + 0.4 * turn
            if (number % 5 == 0 and silent <= day < silent + 25) or chance < 0.08:
                continue
            one = _line(
                user,
                f"{user}-{day}-{turn}",
                day + hour,
                None if chance < 0.12 else logit,
                bands=number % 2 == 1,
                bundle=BUNDLE if day >= moves else BUNDLE_BEFORE,
            )
            yield one
            if chance > 0.97:
                yield one


def _line(
    user: str, memo: str, day: float, logit: float | None, *, bands: bool = False, bundle: str = "",
    uploaded: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    """One score. day: when it was recorded, for sorting; it is no part of the line."""
    probability = None if logit is None else round(float(1 / (1 + np.exp(-logit))), 6)
    line = {"day": day, "user_id": user, "memo_id": memo, "recorded_at": _said(day), "probability": probability}
    if bands and probability is not None:
        undecided = 0.45 <= probability < 0.55
        line["band"] = str(Band.INDETERMINATE if undecided else Band.HIGH if probability >= 0.55 else Band.LOW)
    if bundle:
        line["bundle_id"] = bundle
    if uploaded is not None:
        line["uploaded_at"] = _said(uploaded)
    return line


def _said(day: float) -> str:
    return (DAY_0 + timedelta(seconds=round(day * 86400))).isoformat()


# Whether they are still the same


def digest_of(batches: Iterable[Batch]) -> str:
    """What the expectations were made from: another digest means other inputs, not another program."""
    said = [[each.name, str(each.to), to_plain(each.at), as_said(each.records), each.redrives] for each in batches]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def as_said(records: Sequence[Any]) -> list[dict[str, Any]]:
    """Records in the fields that 0.1 had."""
    plain = cast("list[dict[str, Any]]", to_plain(records))
    for record in plain:
        record.get("quality", {}).pop("channel", None)
    return plain


def digest_of_lines(lines: Iterable[str]) -> str:
    """The same for the lines of a back-test."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
