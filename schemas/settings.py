"""Frozen settings, built once at start and passed down; the only reader of the environment.

Names are `UNDERTONE_<FIELD>`, but for the five that platforms already set: `KAFKA_BOOTSTRAP`, `REDIS_URL`,
`SCHEMA_REGISTRY_URL`, `LOG_LEVEL` and `OTEL_EXPORTER_OTLP_ENDPOINT`. A value can also be a file in the folder that
`UNDERTONE_SECRETS_DIR` names.
"""

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from platformdirs import user_state_path
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from schemas.connection_settings import Access
from schemas.errors import ConfigurationError
from schemas.events import Modality

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]

SHIPPED_BUNDLE = Path(__file__).parent.parent / "workers" / "scoring" / "demo_bundle"


PREFIX = "UNDERTONE_"
PLAIN = ("KAFKA_BOOTSTRAP", "REDIS_URL", "SCHEMA_REGISTRY_URL", "LOG_LEVEL", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Variables that have no prefix."""
_PLAIN = {f"{PREFIX}{name}": name for name in PLAIN}


def _as_text(value: object) -> str | None:
    """A value as the environment has it; None for none."""
    if value is None:
        return None
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(int(value)) if isinstance(value, bool) else str(value)


def _plain(name: str) -> AliasChoices:
    return AliasChoices(name, f"UNDERTONE_{name}", name.lower())


def _fault(location: tuple[int | str, ...], message: str) -> str:
    """What is wrong with one value, or, without a location, with several together."""
    return f"{_variable(str(location[0]))}: {message}" if location else message


def _variable(location: str) -> str:
    """The variable that an operator would set, from where pydantic saw the fault."""
    return location if location.isupper() else f"UNDERTONE_{location.upper()}"


class Settings(Access):
    """Everything an operator can set. Lengths in seconds (`_s`), rates in hertz (`_hz`), sizes in bytes (`_bytes`)."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    # Connections
    kafka_bootstrap: str | None = Field(None, validation_alias=_plain("KAFKA_BOOTSTRAP"))
    # These may hold passwords, so a printed Settings does not show them.
    redis_url: str | None = Field(None, validation_alias=_plain("REDIS_URL"), repr=False)
    schema_registry_url: str | None = Field(None, validation_alias=_plain("SCHEMA_REGISTRY_URL"), repr=False)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", validation_alias=_plain("LOG_LEVEL"))
    log_format: Literal["text", "json"] = "text"
    """`json` is one object a line, for machines."""
    log_key: SecretStr | None = None
    """Memos and users are named in logs by a hash with this key; without one they are not named at all."""
    otel_exporter_otlp_endpoint: str | None = Field(
        None, validation_alias=_plain("OTEL_EXPORTER_OTLP_ENDPOINT"), repr=False
    )
    """Where spans are sent, by OTLP over HTTP; none are made without it. OpenTelemetry's own variables hold too."""
    partitions: Count = 4
    replication: Count = 1
    instance: str = ""
    """Stable name of this process; with it a restart keeps its partitions (Kafka static membership)."""
    session_timeout_s: Positive = 45.0
    """A process silent for so long loses its partitions to the others."""
    max_poll_interval_s: Positive = 3600.0
    """A process that has no room for another record for so long leaves its group. Work does not count: heartbeats and
    fetching go on beside it."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port for `/metrics`, `/healthz` and `/readyz`; 0 serves none. `undertone up` gives its roles this port and those
    after it, in the order of its modalities, then the agents, then the bridges."""
    stuck_after_s: Positive = 20.0
    """Without progress for so long, and without a reason outside this process, `/healthz` says that it is stuck."""

    home: Path = Field(default_factory=lambda: user_state_path("undertone"))
    """Where `undertone up` keeps the embedded store, the journal and submitted audio."""
    supervised: bool = False
    """Set by `undertone up` for its children: they end when their standard input does."""

    # Audio
    audio_prefixes: Annotated[tuple[str, ...], NoDecode] = ()
    """URI prefixes that audio may be read from, comma-separated; nothing else is read. None: no audio at all."""
    audio_max_bytes: Count = 64 * 1024 * 1024
    audio_max_s: Positive = 1800.0
    audio_min_s: Positive = 0.1
    window_s: Positive = 15.0
    """Length of an analysis window, the same for every modality."""
    min_speech_s: NotNegative = 1.0
    min_snr_db: Finite = 5.0
    max_clipped: Share = 0.02
    min_bandwidth_hz: NotNegative = 2500.0
    audio_attempts: Count = 4
    """Reads of an object that is not there before it counts as missing."""
    audio_retry_s: Positive = 0.5
    """First wait between them; it doubles, with jitter, to ten times that."""

    # Workers
    bundle: Path = SHIPPED_BUNDLE
    encoder: str | None = None
    """Hugging Face folder or hub name that replaces the bundle's encoder; add `@revision` to pin one."""
    acoustic_processes: Count = 2
    intra_op_threads: Annotated[int, Field(ge=0)] = 0
    """Threads for one TensorFlow operation; 0 lets TensorFlow choose."""
    precision: Literal["float32", "bfloat16"] = "float32"
    batch_audio_s: Positive = 60.0
    """Seconds of audio in one batch of a worker."""
    inflight_audio_s: Positive = 600.0
    """Seconds of decoded audio held in memory; beyond it partitions are paused."""
    stop_deadline_s: Positive = 8.0
    """Time to drain, flush and commit, all together, when asked to stop or when partitions are taken away."""
    dead_letter_max_share: Share = 0.25
    dead_letter_window: Count = 100
    dead_letter_max_run: Count = 20
    dead_letter_back_off_s: Positive = 5.0
    """How long a fault has to pass once too many records have failed, before one is tried again."""
    encoder_batch_s: Positive = 16.0
    """Seconds of audio, padding included, that the encoder computes at once; an accelerator likes several hundred."""
    program_cache: Path | None = None
    """Folder that keeps the encoder's compiled programs between starts, for one process at a time; none keeps none."""
    warm: bool = False
    """Compile all of the encoder's programs while no memo waits; else each when a memo first needs it."""
    memory_growth: bool = True
    """Take an accelerator's memory as it is needed; false takes all of it at start."""

    # Agents
    modalities: Annotated[tuple[Modality, ...], NoDecode] = (Modality.ACOUSTIC, Modality.EMBEDDING)
    """Modalities that must meet before a memo is scored."""
    join_timeout_s: Positive = 900.0
    """After this a join that stays open becomes an indeterminate score."""
    join_ttl_s: Positive = 7 * 86400.0
    reconciled_s: Positive = 86400.0
    """After Redis has lost its data: uploads from so long before are compared with outcomes, and sent again if without.
    """
    state_ttl_s: Positive = 400 * 86400.0
    agent_batch: Count = 500
    alerts_per_user_year: Positive = 1.0
    memos_per_day: Positive = 1.0
    autocorrelation: Annotated[float, Field(ge=0, le=0.5)] | None = None
    """Of one memo's score with the next; leave it out unless it was measured: the promise holds without it."""
    reorder_window_s: Positive = 2 * 86400.0
    alert_cooldown_s: NotNegative = 7 * 86400.0
    """Between the end of an episode and the next of its kind."""
    level_high: Count = 5
    """So many of the last `level_of` scores in the high band raise a level alert; 0 for `level_of` raises none."""
    level_of: Annotated[int, Field(ge=0, le=31)] = 7

    # Bridges
    alertmanager_url: str | None = Field(None, repr=False)
    """Address of Alertmanager; of all in a cluster, with commas between."""
    alertmanager_again_s: Positive = 60.0
    """Between two postings of all open episodes, which Alertmanager forgets when it restarts."""
    webhook_url: str | None = Field(None, repr=False)
    webhook_secret: str | None = Field(None, repr=False)
    """What receivers check signatures with: `whsec_` and base64, or any text of 24 bytes and more."""
    webhook_give_up_s: Positive = 86400.0
    """An alert that the receiver fails to take for so long is counted as undelivered, and the next one is sent."""
    slack_url: str | None = Field(None, repr=False)
    """Address of an incoming webhook of Slack, Mattermost or Rocket.Chat; a secret, for whoever has it can post."""
    slack_names_users: bool = False
    """Name the pseudonym in messages, for everybody in the channel and for whoever keeps the chat's history."""
    slack_give_up_s: Positive = 86400.0
    """A message that is not accepted for so long is counted as undelivered, and the next one is sent."""
    bridge_timeout_s: Positive = 10.0
    """How long a receiver may take to answer."""

    @classmethod
    def load(cls, **overrides: object) -> Self:
        """Settings from the environment. Raises ConfigurationError that names each wrong value and its rule."""
        secrets = os.environ.get("UNDERTONE_SECRETS_DIR")
        if secrets is not None and not Path(secrets).is_dir():
            raise ConfigurationError("UNDERTONE_SECRETS_DIR names no folder")
        try:
            return cls(_secrets_dir=secrets, **overrides)  # type: ignore[arg-type]
        except ValidationError as error:
            # The values themselves stay out: one of them may be a secret.
            faults = "; ".join(_fault(e["loc"], e["msg"]) for e in error.errors())
            raise ConfigurationError(f"settings cannot be used: {faults}") from None

    def child_environment(self) -> dict[str, str]:
        """The environment in which a child process loads these very settings, however they came about."""
        given = {f"{PREFIX}{name.upper()}": _as_text(getattr(self, name)) for name in self.model_fields_set}
        return {**os.environ, **{_PLAIN.get(name, name): text for name, text in given.items() if text is not None}}

    @field_validator("audio_prefixes", "modalities", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _loud(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("modalities")
    @classmethod
    def _can_meet(cls, value: tuple[Modality, ...]) -> tuple[Modality, ...]:
        if not value or Modality.UNKNOWN in value or len(set(value)) < len(value):
            raise ValueError("name one or more of acoustic and embedding, each once")
        return value
