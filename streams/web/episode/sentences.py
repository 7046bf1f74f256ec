"""What an episode and its steps say in one sentence, in words and numbers of one language. Pure."""

from schemas.event_enums import AlertState
from schemas.events import RiskAlert
from streams.history.episode import Episode
from streams.reasons.summary import Figures, summary_of
from streams.web.formats import fixed
from streams.web.languages import Language
from streams.web.markers import measured


def step_words(step: RiskAlert, language: Language) -> str:
    """The sentence about a step, without a full stop."""
    figures = Figures(
        value=lambda name, value: measured(name, value, language.locale, language.gettext),
        number=lambda value: fixed(value, language.locale, 1),
    )
    return summary_of(step, language.gettext, figures)


def episode_words(episode: Episode, language: Language) -> str:
    """The sentence about an episode: that of its last step before it was over. English is stored with it."""
    if language.tag == "en" and episode.summary:
        return episode.summary
    open_steps = [step for step in episode.steps if step.state is not AlertState.RESOLVED]
    return step_words((open_steps or episode.steps)[-1], language)
