"""One user in words: a line for each thing that is known. Pure; texts come from outside, so escape them when shown."""

from collections.abc import Iterator
from datetime import datetime

from streams.drift.mutes import Mute
from streams.views.marks import mark_of, silence_sentence
from streams.views.speaking import left_out_sentence, speaking_sentence
from streams.views.user import Awaited, FailedMemo, OpenEpisode, UserView, state_sentence

SHOWN = 10
"""Dead letters in a line."""


def lines_of(view: UserView) -> Iterator[tuple[str, str]]:
    """What is known, by heading."""
    silence = silence_sentence([mark_of(score) for score in view.scores])

    yield "user", view.user_id
    yield "last memo", "none" if view.last_memo_at is None else f"recorded {_time(view.last_memo_at)}"
    yield "scored", f"{len(view.scores)} memos" + (f"; {silence}" if silence else "")
    yield "baseline", _baseline(view)
    yield "drift", state_sentence(view.drift)
    episodes = () if view.drift is None else view.drift.episodes
    yield "open episode", "; ".join(map(_episode, episodes)) or "none"
    yield "speaks", speaking_sentence(view.speaking)
    if view.left_out:
        yield "left out", left_out_sentence(view.left_out)
    yield "muted", "; ".join(map(_mute, view.mutes)) or "no"
    yield "awaited", "; ".join(map(_awaited, view.awaited)) or "nothing"
    letters = "; ".join(map(_letter, view.dead_letters[:SHOWN]))
    yield "dead letters", (f"{len(view.dead_letters)}: {letters}" if letters else "none")
    for number, note in enumerate(view.notes, 1):
        yield f"note {number}", note


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _baseline(view: UserView) -> str:
    if view.baseline is None:
        return "none yet: the next memo is compared with the population"
    return f"{view.baseline.memos} memos, bundle {view.baseline.bundle_id}"


def _episode(episode: OpenEpisode) -> str:
    since = "" if episode.changed_since is None else f", change since about {episode.changed_since:%Y-%m-%d}"
    escalated = ", escalated" if episode.escalated else ""
    return f"{episode.kind} since {_time(episode.opened_at)}{escalated}{since}"


def _mute(mute: Mute) -> str:
    by, why = (f" by {mute.by}" if mute.by else ""), (f": {mute.reason}" if mute.reason else "")
    return f"{mute.scope} {mute.name} until {_time(mute.until)}{by}{why}"


def _awaited(memo: Awaited) -> str:
    missing = ", ".join(memo.missing) or "its score"
    return f"memo {memo.memo_id} of {_time(memo.recorded_at)}: {missing}" + (" (scored without)" * memo.provisional)


def _letter(letter: FailedMemo) -> str:
    return f"{_time(letter.at)} {letter.reason} at {letter.stage}" + (" (scored since)" * letter.scored)
