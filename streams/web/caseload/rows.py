"""What a row of the caseload says, in words of one language. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from streams.history.caseload import Attention, CaseCounts, CaseloadRow
from streams.web.caseload.sparkline import Sparkline, sparkline
from streams.web.formats import number, percent
from streams.web.languages import Language
from streams.web.person.words import reason_words


@dataclass(frozen=True, slots=True)
class CaseView:
    """One row.

    badge: the state in one or two words; why: one sentence, empty where nothing asks for a look; since: of the state;
    spark: the latest scores. A viewer who sees states only gets neither `why` nor `spark`.
    """

    row: CaseloadRow
    badge: str
    why: str
    since: datetime
    spark: Sparkline | None

    @property
    def key(self) -> str:
        """Identity of this row while the list is open: a new episode of a person is a new row."""
        episode = self.row.episode
        return f"{self.row.user_id} {episode.dedup_key if episode else self.row.attention}"


def badge_words(attention: Attention, language: Language) -> str:
    """Why somebody needs a look, in one or two words."""
    match attention:
        case Attention.CRITICAL:
            return language.gettext("critical change")
        case Attention.WARNING:
            return language.gettext("change")
        case Attention.SILENT:
            return language.gettext("silent")
        case Attention.UNJUDGED:
            return language.gettext("cannot be judged")
        case Attention.NONE:
            return language.gettext("as usual")


def case_views(
    rows: Sequence[CaseloadRow], sentences: Mapping[str, str], language: Language, scores: bool
) -> list[CaseView]:
    """The rows in words. sentences: about episodes, by their key; scores: whether the viewer may see scores."""
    return [
        CaseView(
            row,
            badge_words(row.attention, language),
            why(row, sentences, language) if scores else "",
            row.attention_since,
            sparkline(row.spark, language) if scores else None,
        )
        for row in rows
    ]


def why(row: CaseloadRow, sentences: Mapping[str, str], language: Language) -> str:
    """One sentence about the state; empty where nothing asks for a look."""
    if row.episode is not None:
        return sentence(sentences.get(row.episode.dedup_key) or row.episode.summary)
    if row.attention is Attention.SILENT:
        return _silence(row, language)
    return _unjudged(row, language) if row.attention is Attention.UNJUDGED else ""


def sentence(words: str) -> str:
    """A phrase as a sentence.

    >>> sentence("speaks again")
    'Speaks again.'
    """
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def _silence(row: CaseloadRow, language: Language) -> str:
    if row.memos_per_week is None:
        return language.gettext("No memo for longer than a week; no habit is known yet.")
    usual = number(row.memos_per_week, language.locale, 1 if row.memos_per_week < 3 else 0)
    return language.gettext("No memo for longer than usual: %(usual)s a week until then.") % {"usual": usual}


def _unjudged(row: CaseloadRow, language: Language) -> str:
    share = percent(row.indeterminate_share, language.locale)
    if row.indeterminate_reason is None:
        return language.gettext("%(share)s of recent memos cannot be judged.") % {"share": share}
    reason = language.gettext(reason_words(row.indeterminate_reason))
    return language.gettext("%(share)s of recent memos cannot be judged, mostly: %(reason)s.") % {
        "share": share,
        "reason": reason,
    }


def counts_line(counts: CaseCounts, language: Language) -> list[str]:
    """Who is followed, in a few parts, such as "42 people followed" and "3 silent". The last memo is left out."""
    parts = [language.ngettext("%(num)d person followed", "%(num)d people followed", counts.people)]
    parts[0] %= {"num": counts.people}
    if counts.open_episodes:
        words = language.ngettext("%(num)d open episode", "%(num)d open episodes", counts.open_episodes)
        parts.append(words % {"num": counts.open_episodes})
    parts.append(language.ngettext("%(num)d silent", "%(num)d silent", counts.silent) % {"num": counts.silent})
    if counts.unjudged:
        words = language.ngettext("%(num)d cannot be judged", "%(num)d cannot be judged", counts.unjudged)
        parts.append(words % {"num": counts.unjudged})
    return parts
