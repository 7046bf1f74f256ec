from pathlib import Path
from typing import Literal

import pytest

from schemas.environment import variable
from schemas.setting_types import Role
from schemas.settings import SHIPPED_BUNDLE, Settings, roles_of
from schemas.settings_page import FIRST, ROOT, docstrings, documented, sections, settings_page


def rows(after: str = "## All settings") -> dict[str, list[str]]:
    """The cells of every setting's row, by its variable."""
    lines = [line for line in settings_page().partition(after)[2].splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells for cells in (line.removeprefix("| ").split(" | ") for line in lines)}


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_docstring_and_declares_who_reads_it(name: str) -> None:
    assert documented().get(name, "").endswith("."), "say what it means, in a sentence under the field"
    assert roles_of(name), "declare who reads it: Annotated[..., Role.WORKER]"


def test_every_setting_has_a_row_in_the_order_of_the_classes() -> None:
    assert list(rows()) == [variable(name) for name in Settings.model_fields]
    names = [section.__name__ for section in sections()]
    assert names[0] == "Connections"
    assert names.index("Dashboard") < names.index("SignIn")


def test_what_everybody_sets_comes_first() -> None:
    assert list(rows("## Set these first"))[: len(FIRST)] == [variable(name) for name in FIRST]
    assert variable(FIRST[0]) == "UNDERTONE_ALERTS_PER_USER_YEAR"


@pytest.mark.parametrize(
    "row",
    [
        "| `LOG_LEVEL` | one of `DEBUG`, `INFO`, `WARNING`, `ERROR` | `INFO` |  | worker, agents, bridge, history, ",
        "| `REDIS_URL` | text, secret | none |  | agents, bridge, history, dashboard, ",
        "| `UNDERTONE_AUDIO_MAX_BYTES` | whole number ≥ 1 | `67108864` (64 MiB) | bytes | worker, dashboard, ",
        "| `UNDERTONE_AUTOCORRELATION` | number, 0 to 0.5 | none |  | agents, command line |",
        "| `UNDERTONE_JOIN_TTL_S` | number > 0 | `604800` (7 d) | s | agents |",
        "| `UNDERTONE_KAFKA_KEY_PASSWORD` | text, secret | none |  | all |",
        "| `UNDERTONE_MODALITIES` | list, each one of `acoustic`, `embedding` | see meaning |  | worker,",
        "| `UNDERTONE_PROGRAM_CACHE` | folder | none |  | worker, command line |",
        "| `UNDERTONE_WARM` | `true` or `false` | `false` |  | worker, command line |",
    ],
)
def test_rows_say_type_default_unit_and_readers(row: str) -> None:
    assert f"\n{row}" in settings_page()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_default_that_is_set_as_it_is_written_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    default = rows()[variable(name)][2]
    if default.startswith("`"):
        monkeypatch.setenv(variable(name), default.split("`")[1])
        loaded = Settings.load()
        assert name in loaded.model_fields_set
        value = getattr(loaded, name)
        assert (ROOT / value if isinstance(value, Path) else value) == Settings.model_fields[name].default


def test_nothing_of_this_machine_is_in_the_page() -> None:
    assert str(SHIPPED_BUNDLE.parent) not in settings_page()
    assert str(Path.home() / ".local") not in settings_page()


def test_every_role_is_explained() -> None:
    assert set(docstrings(Role)) == {role.name for role in Role}


def test_a_docstring_belongs_to_the_attribute_before_it() -> None:
    assert docstrings(Example) == {"first": "Over two lines.", "third": "After a value."}


class Example:
    """Of attributes with and without."""

    first: int
    """Over
    two lines."""
    second: Literal["no"] = "no"
    third = 3
    """After a value."""
