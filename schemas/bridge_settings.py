"""Settings of the bridges, which bring alerts and scores to receivers outside Kafka."""

from typing import Annotated

from pydantic import BaseModel, Field

from schemas.setting_types import File, NotNegative, Positive, Role

SENDS = Role.BRIDGE | Role.DASHBOARD | Role.COMMAND_LINE
"""Bridges, and whoever erases a person and informs the receivers."""


class Bridges(BaseModel, frozen=True, defer_build=True):
    """Where alerts are sent. `undertone up` starts the bridges whose address is set."""

    alertmanager_url: Annotated[str | None, SENDS | Role.UP] = Field(None, repr=False)
    """Address of Alertmanager; of a cluster all addresses, comma-separated."""
    alertmanager_again_s: Annotated[Positive, SENDS] = 60.0
    """Seconds between two postings of all open episodes, which Alertmanager loses when it restarts."""
    webhook_url: Annotated[str | None, SENDS | Role.UP] = Field(None, repr=False)
    """Address to which every alert is posted."""
    webhook_secret: Annotated[str | None, SENDS] = Field(None, repr=False)
    """Secret that the webhook signs with: `whsec_` and base64, or any text of at least 24 bytes."""
    webhook_give_up_s: Annotated[Positive, SENDS] = 86400.0
    """An alert that the receiver does not accept within this many seconds is undelivered; the next one is sent."""
    slack_url: Annotated[str | None, SENDS | Role.UP] = Field(None, repr=False)
    """Address of an incoming webhook of Slack, Mattermost or Rocket.Chat; a secret: anyone who has it can post."""
    slack_names_users: Annotated[bool, SENDS] = False
    """Put pseudonyms into messages, visible to everybody in the channel and in the chat's history."""
    slack_give_up_s: Annotated[Positive, SENDS] = 86400.0
    """A message that the receiver does not accept within this many seconds is undelivered; the next one is sent."""
    fhir_url: Annotated[str | None, SENDS | Role.UP] = Field(None, repr=False)
    """Address of a FHIR R4 server, the base of its resources, such as `https://fhir.example/r4`."""
    fhir_token: Annotated[str | None, SENDS] = Field(None, repr=False)
    """Bearer token for that server. Without it requests have no `Authorization`."""
    fhir_patients: Annotated[File | None, SENDS] = None
    """Which patient a pseudonym is: a CSV file with the columns `pseudonym` and `patient` (`Patient/ID`), read again
    when it changes. Scores and alerts of a pseudonym without a row are skipped and counted."""
    fhir_scores: Annotated[bool, SENDS] = True
    """Put a RiskAssessment of every memo on the server; otherwise only the Flags of episodes."""
    fhir_give_up_s: Annotated[Positive, SENDS] = 86400.0
    """A resource that the server does not accept within this many seconds is undelivered; the next one is sent."""
    bridge_timeout_s: Annotated[Positive, SENDS] = 10.0
    """Seconds that a receiver may take to answer."""
    platform_url: Annotated[str | None, Role.DASHBOARD | Role.COMMAND_LINE] = Field(None, repr=False)
    """Address of the platform that sends memos: when a person is erased it gets a message, signed as of a webhook, with
    the addresses of the person's recordings."""
    erasure_tell_s: Annotated[NotNegative, Role.DASHBOARD | Role.COMMAND_LINE] = 3600.0
    """Seconds from its request on in which an erasure tries again to tell receivers that do not answer, before it
    destroys the keys; then the certificate says who was not informed."""
    dashboard_url: Annotated[str | None, SENDS] = None
    """Address of the dashboard as browsers reach it, such as `https://undertone.example`. Alerts then link to their
    episode there; sign-in needs it."""
