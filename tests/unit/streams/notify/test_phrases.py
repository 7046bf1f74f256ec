"""The sentences about an alert."""

import pytest

from schemas.events import AlertKind
from streams.notify.phrases import caution, finding, past_finding


@pytest.mark.parametrize("kind", AlertKind)
def test_every_kind_has_a_sentence_for_an_open_and_for_a_resolved_episode(kind: AlertKind) -> None:
    assert finding(kind) != past_finding(kind)
    assert str(kind) not in finding(kind).split()


def test_only_alerts_of_the_demonstration_model_say_nothing_about_a_person() -> None:
    assert caution("demo-1").startswith(caution("clinic-7"))
    assert caution("clinic-7").startswith("A compass, never a diagnosis")
    assert "says nothing about any person" in caution("demo-1")
    assert "says nothing about any person" not in caution("clinic-7")
