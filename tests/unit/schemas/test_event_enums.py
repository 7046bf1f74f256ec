from enum import StrEnum
from inspect import getmembers, isclass
from pathlib import Path

import pytest

from schemas import event_enums

ENUMS = [kind for _, kind in getmembers(event_enums, isclass) if issubclass(kind, StrEnum) and kind is not StrEnum]


@pytest.mark.parametrize("kind", ENUMS)
def test_every_symbol_has_a_meaning(kind: type[StrEnum]) -> None:
    source = Path(event_enums.__file__).read_text()
    for member in kind:
        assert f'    {member.name} = "{member.value}"\n    """' in source


@pytest.mark.parametrize("kind", ENUMS)
def test_a_symbol_is_a_code_that_urls_and_labels_can_hold(kind: type[StrEnum]) -> None:
    assert all(member.value.replace("_", "").isalpha() and member.value.islower() for member in kind)
