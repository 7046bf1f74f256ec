from dataclasses import fields

import pytest

from workers.text.lexicons import ENGLISH, LEXICONS, Lexicon, forms, lexicon_of


def categories_of(word: str) -> set[str]:
    return {each.name for each in fields(Lexicon) if not getattr(ENGLISH, each.name).isdisjoint(forms(word))}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("I", {"first_singular"}),
        ("I'VE", {"first_singular"}),
        ("I'll", {"first_singular", "future"}),
        ("we're", {"first_plural"}),
        ("don't", {"negation"}),
        ("didn’t", {"negation", "past"}),
        ("CAN'T", {"negation"}),
        ("won't", {"negation", "future"}),
        ("nothing", {"absolutist", "negation"}),
        ("everything's", {"absolutist"}),
        ("hopeless", {"negative"}),
        ("hopeful", {"positive"}),
        ("um", {"filler"}),
        ("table", set()),
        ("'", set()),
    ],
)
def test_a_word_is_of_the_categories_that_it_tells(word: str, expected: set[str]) -> None:
    assert categories_of(word) == expected


@pytest.mark.parametrize("language", sorted(LEXICONS))
def test_lists_are_lower_case_and_hold_no_word_that_is_pleasant_and_unpleasant(language: str) -> None:
    lexicon = LEXICONS[language]
    for each in fields(Lexicon):
        listed = getattr(lexicon, each.name)
        assert listed
        assert all(word == word.lower() and "’" not in word for word in listed)
    assert lexicon.positive.isdisjoint(lexicon.negative)
    assert lexicon.first_singular.isdisjoint(lexicon.first_plural)


@pytest.mark.parametrize(("tag", "known"), [("en", True), ("EN-us", True), ("en_GB", True), ("de", False), ("", False)])
def test_a_tag_names_the_lexicon_of_its_language(tag: str, known: bool) -> None:
    assert (lexicon_of(tag) is ENGLISH) == known
