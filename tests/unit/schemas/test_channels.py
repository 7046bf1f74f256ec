"""The table of channels, and what must say the same as it without being made from it."""

import re
from pathlib import Path

import pytest

from deploy.kafka.acls import rights
from schemas import topics
from schemas.channels import CHANNELS, Channel, bridge_group
from schemas.metrics import LABELS
from schemas.settings import Settings

ROOT = Path(__file__).parent.parent.parent.parent
PAGE = (ROOT / "docs" / "subscribing.md").read_text()


def test_names_and_groups_are_the_published_ones_in_this_order() -> None:
    assert [bridge_group(channel.name) for channel in CHANNELS] == [
        "undertone-bridge-alertmanager",
        "undertone-bridge-webhook",
        "undertone-bridge-slack",
    ]


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.name)
def test_a_channel_is_described_and_its_address_is_a_setting_that_is_not_shown(channel: Channel) -> None:
    field = Settings.model_fields[channel.setting]
    assert field.default is None
    assert field.repr is False
    assert "h1dden" not in repr(Settings.load(**{channel.setting: "https://x.example/h1dden"}))
    assert channel.variable in channel.address
    assert channel.meaning.endswith(".")


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.name)
def test_what_processes_share_knows_every_channel(channel: Channel) -> None:
    assert f"`{channel.name}`" in LABELS["stage"]
    allowed = {(right.resource, right.name) for right in rights() if right.role == "bridge"}
    assert {("topic", topics.ALERTS.name), ("group", bridge_group(channel.name))} <= allowed


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.name)
def test_the_page_for_subscribers_has_its_command_and_its_setting(channel: Channel) -> None:
    assert re.search(rf"^\| .+ \| `undertone bridge {channel.name}` \| .+ \|$", PAGE, re.MULTILINE)
    assert re.search(rf"^undertone bridge {channel.name}$", PAGE, re.MULTILINE)
    assert f"{channel.variable}=" in PAGE
