"""The table of channels, and what must say the same as it without being made from it."""

import re
from pathlib import Path

import pytest

from deploy.kafka.acls import rights
from schemas import topics
from schemas.channels import CHANNELS, Channel, bridge_group, topics_of
from schemas.metrics import LABELS
from schemas.settings import Settings

ROOT = Path(__file__).parent.parent.parent.parent
PAGE = (ROOT / "docs" / "subscribing.md").read_text()


def test_names_and_groups_are_the_published_ones_in_this_order() -> None:
    assert [bridge_group(channel.name) for channel in CHANNELS] == [
        "undertone-bridge-alertmanager",
        "undertone-bridge-webhook",
        "undertone-bridge-slack",
        "undertone-bridge-fhir",
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
    assert {*(("topic", topic.name) for topic in channel.reads), ("group", bridge_group(channel.name))} <= allowed
    assert topics_of(channel.name) == channel.reads


def test_every_channel_reads_alerts_and_so_does_one_of_a_test() -> None:
    assert all(topics.ALERTS in channel.reads for channel in CHANNELS)
    assert topics_of("of a test") == (topics.ALERTS,)


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.name)
def test_the_page_for_subscribers_has_its_command_and_its_setting(channel: Channel) -> None:
    assert re.search(rf"^\| .+ \| `undertone bridge {channel.name}` \| .+ \|$", PAGE, re.MULTILINE)
    assert re.search(rf"^undertone bridge {channel.name}$", PAGE, re.MULTILINE)
    assert f"{channel.variable}=" in PAGE
