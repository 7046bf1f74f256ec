"""The channels that bring alerts to receivers outside Kafka: one row each.

The command line, `undertone up`, the permissions on Kafka and the labels of metrics are made from this table. To add a
channel: a row here, its address in `schemas/bridge_settings.py`, a module of its name with `make_receiver` in
`streams/notify`, and a section in `docs/subscribing.md`.
"""

from dataclasses import dataclass

from schemas.environment import variable
from schemas.topics import ALERTS, SCORED, Topic


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel.

    name: of its command, its module in `streams/notify` and its stage in metrics, and the end of its consumer group's
    name; setting: the field of Settings that holds the receiver's address; meaning: what it does; address: what to set;
    reads: the topics that are brought to the receiver.
    """

    name: str
    setting: str
    meaning: str
    address: str
    reads: tuple[Topic, ...] = (ALERTS,)

    @property
    def variable(self) -> str:
        """The environment variable of `setting`."""
        return variable(self.setting)


ALERTMANAGER = Channel(
    "alertmanager",
    "alertmanager_url",
    "Post episodes to Alertmanager: raised fires, resolved resolves, one notification an episode.",
    "UNDERTONE_ALERTMANAGER_URL is the address of Alertmanager, or of all in a cluster, comma-separated.",
)
WEBHOOK = Channel(
    "webhook",
    "webhook_url",
    "Post every alert to a webhook, signed by the rules of Standard Webhooks.",
    "UNDERTONE_WEBHOOK_URL is the address, UNDERTONE_WEBHOOK_SECRET the secret that signs.",
)
SLACK = Channel(
    "slack",
    "slack_url",
    "Post every alert as a message to a channel of Slack, Mattermost or Rocket.Chat.",
    "UNDERTONE_SLACK_URL is the address of an incoming webhook: a secret, so not for the command line.",
)

FHIR = Channel(
    "fhir",
    "fhir_url",
    "Put every score as a RiskAssessment and every episode as a Flag on a FHIR R4 server.",
    "UNDERTONE_FHIR_URL is the address of the server, UNDERTONE_FHIR_PATIENTS the table of who is which patient.",
    reads=(SCORED, ALERTS),
)

CHANNELS = (ALERTMANAGER, WEBHOOK, SLACK, FHIR)


def topics_of(channel: str) -> tuple[Topic, ...]:
    """The topics that a channel reads, by its name; alerts for one that the table does not have."""
    return next((row.reads for row in CHANNELS if row.name == channel), (ALERTS,))


def bridge_group(channel: str) -> str:
    """Consumer group of the bridges of one channel, by its name."""
    return f"undertone-bridge-{channel}"
