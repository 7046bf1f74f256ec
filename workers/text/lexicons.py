"""Words by their category, a table for each language: our own lists, by categories that the literature names.

A word is of a category when it is in its list, or when the part before its apostrophe, or the ending from it on, is: of
"don't" `n't` is a negation, of "I'll" `i` is first person and `'ll` future. Lists hold lower case.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The words of one language. What each category means is in `affect.TEXT_FEATURES`."""

    filler: frozenset[str]
    first_singular: frozenset[str]
    first_plural: frozenset[str]
    absolutist: frozenset[str]
    negation: frozenset[str]
    negative: frozenset[str]
    positive: frozenset[str]
    past: frozenset[str]
    future: frozenset[str]


def lexicon_of(language: str) -> Lexicon | None:
    """The lexicon for a BCP 47 tag, by its first part; None where there is none.

    >>> lexicon_of("en-GB") is LEXICONS["en"], lexicon_of("de")
    (True, None)
    """
    return LEXICONS.get(language.replace("_", "-").split("-")[0].lower())


def forms(word: str) -> tuple[str, ...]:
    """What a word is looked up as.

    >>> forms("I'LL"), forms("don't")
    (("i'll", 'i', "'ll"), ("don't", 'do', "n't"))
    """
    lower = word.lower().replace("’", "'")
    if lower.endswith("n't"):
        return lower, lower[:-3], "n't"
    stem, apostrophe, ending = lower.partition("'")
    return (lower, stem, apostrophe + ending) if apostrophe else (lower,)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ENGLISH = Lexicon(
    filler=_words("ah eh er erm hm hmm mhm mm uh uhm um"),
    first_singular=_words("i me mine my myself"),
    first_plural=_words("our ours ourselves us we"),
    absolutist=_words(
        """absolute absolutely all always complete completely constantly definitely endless endlessly entire entirely
        eternally ever every everybody everyone everything everywhere forever fully impossible must never nobody nothing
        nowhere perfectly total totally utterly whole wholly"""
    ),
    negation=_words("cannot n't neither never no nobody none nor not nothing nowhere without"),
    negative=_words(
        """afraid alone angry anxious ashamed awful bad bitter bored broken cried cry crying dark dead depressed despair
        desperate die difficult disappointed dread dreadful empty exhausted fail failed failing failure fear frightened
        frustrated grief guilt guilty hate hated helpless hopeless horrible hurt hurting hurts ill irritated lonely lost
        mad miserable misery nervous numb overwhelmed pain painful panic pointless regret rejected sad sadness
        scared shame sick sorrow sorry stressed stuck stupid suffer suffering suicide terrible terrified tired trapped
        ugly unhappy upset useless weak wept worried worry worrying worse worst worthless wrong"""
    ),
    positive=_words(
        """amazing beautiful best better brave bright calm cheerful comfortable confident delighted easy enjoy enjoyed
        enjoying excellent excited fantastic friendly fun funny glad good grateful great happiness happy hope hopeful
        hoping interested joy laugh laughed laughing lovely love loved loves lucky nice peaceful perfect pleasant
        pleased proud relaxed relieved safe satisfied smile smiled smiling strong success superb thankful
        thanks warm wonderful"""
    ),
    past=_words(
        """ago been began came did earlier felt found gave got had heard kept knew made once previously
        said saw started stayed thought took told tried used wanted was went were woke yesterday"""
    ),
    future=_words("'ll gonna later shall someday soon tomorrow tonight upcoming will wo"),
)

LEXICONS: Mapping[str, Lexicon] = {"en": ENGLISH}
"""By the first part of a BCP 47 tag."""
