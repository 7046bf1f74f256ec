"""Frozen settings, built once at start and passed down; the only reader of the environment.

Variables are `UNDERTONE_<FIELD>`, but for the five that platforms already set (`environment.PLAIN`). A value can also
be a file in the folder that `UNDERTONE_SECRETS_DIR` names. `docs/settings.md` is generated from the classes here and in
the modules `*_settings.py`: one section a class, one row a field.
"""

import os
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from platformdirs import user_state_path
from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.audit_settings import AuditTrail
from schemas.bridge_settings import Bridges
from schemas.bundle_manifest import modalities_of, window_s_of
from schemas.connection_settings import Connections, KafkaSecurity, RedisSecurity
from schemas.dashboard_settings import Dashboard
from schemas.environment import PLAIN, PREFIX, SECRETS_DIR, unknown_variables, variable
from schemas.errors import ConfigurationError
from schemas.events import Modality
from schemas.history_settings import History
from schemas.keeping_settings import Keeping
from schemas.pipeline import MODALITIES
from schemas.sealing_settings import Sealing
from schemas.setting_types import Count, Finite, Folder, Listed, NotNegative, Positive, Role, Share, plain
from schemas.sign_in_settings import SignIn

SHIPPED_BUNDLE = Path(__file__).parent.parent / "workers" / "scoring" / "demo_bundle"


class Processes(BaseModel, frozen=True, defer_build=True):
    """Logs, traces, metrics and health of every process, and what `undertone up` keeps on disk."""

    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], Role.SERVICES] = Field(
        "INFO", validation_alias=plain("LOG_LEVEL")
    )
    """Least severe messages that are logged; those of other libraries from `WARNING` on, whatever is set here."""
    log_format: Annotated[Literal["text", "json"], Role.SERVICES] = "text"
    """`text` for people, with fields as `key=value`; `json`, one object a line, for machines."""
    log_key: Annotated[SecretStr | None, Role.SERVICES] = None
    """Key of the HMAC-SHA256 that replaces ids of memos and users in logs. Without it logs do not name them."""
    otel_exporter_otlp_endpoint: Annotated[str | None, Role.SERVICES | Role.COMMAND_LINE] = Field(
        None, validation_alias=plain("OTEL_EXPORTER_OTLP_ENDPOINT"), repr=False
    )
    """OpenTelemetry collector for spans, OTLP over HTTP. Without it no spans are made. OpenTelemetry's own variables
    apply as well."""
    metrics_port: Annotated[int, Field(ge=0, le=65535), Role.SERVICES | Role.UP | Role.COMMAND_LINE] = 0
    """Port for `/metrics`, `/healthz` and `/readyz`; 0 serves none. `undertone up` gives its roles this port and the
    ones after it: workers in the order of `UNDERTONE_MODALITIES`, agents, bridges, history, dashboard."""
    metrics_host: Annotated[str, Role.SERVICES] = "127.0.0.1"
    """Address of this machine at which that port listens, or a name: then each of its addresses. Everybody who reaches
    it reads the metrics. Where Prometheus or a probe asks from elsewhere, name the address in that network."""
    stuck_after_s: Annotated[Positive, Role.SERVICES] = 20.0
    """A process that makes no progress for this many seconds, without a cause outside it, fails `/healthz`."""
    stop_deadline_s: Annotated[Positive, Role.SERVICES | Role.UP] = 8.0
    """Seconds to drain, flush and commit, all together, at shutdown or when partitions are revoked."""
    home: Annotated[Folder, Role.ALL] = Field(default_factory=lambda: user_state_path("undertone"))
    """Where `undertone up` keeps the embedded store, the journal, the history and submitted audio. Default: the user's
    state folder, on Linux `~/.local/state/undertone`."""
    audio_retention_s: Annotated[NotNegative, Role.UP] = 7 * 86400.0
    """Seconds that `undertone up` keeps its copy of submitted audio after the memo has a score or a dead letter; until
    then the memo can be redriven. Audio that is read where it is is never removed."""
    supervised: Annotated[bool, Role.SERVICES] = False
    """Set by `undertone up` for the processes it starts: they stop when their standard input closes."""


class Audio(BaseModel, frozen=True, defer_build=True):
    """Which audio is read, and which memos can be scored."""

    audio_prefixes: Annotated[Listed[str], Role.WORKER | Role.DASHBOARD | Role.UP | Role.COMMAND_LINE] = ()
    """URI prefixes under which workers may read audio, such as `s3://memos/,file:///data/`. Without one they read none.
    """
    audio_max_bytes: Annotated[Count, Role.WORKER | Role.DASHBOARD | Role.COMMAND_LINE] = 64 * 1024 * 1024
    """Largest audio file, in bytes as stored; a larger one is refused (`audio:too_large`)."""
    audio_max_s: Annotated[Positive, Role.WORKER | Role.COMMAND_LINE] = 1800.0
    """Longest memo, in seconds; a longer one is refused (`audio:too_long`)."""
    audio_min_s: Annotated[Positive, Role.WORKER | Role.COMMAND_LINE] = 0.1
    """Shortest memo, in seconds; a shorter one is refused (`audio:too_short`)."""
    min_speech_s: Annotated[NotNegative, Role.WORKER | Role.COMMAND_LINE] = 1.0
    """A memo with fewer seconds of speech is indeterminate (`quality:too_little_speech`)."""
    min_snr_db: Annotated[Finite, Role.WORKER | Role.COMMAND_LINE] = 5.0
    """A memo with a lower signal-to-noise ratio, in dB, is indeterminate (`quality:noisy`)."""
    max_clipped: Annotated[Share, Role.WORKER | Role.COMMAND_LINE] = 0.02
    """A memo with a larger share of clipped samples is indeterminate (`quality:clipped`)."""
    min_bandwidth_hz: Annotated[NotNegative, Role.WORKER | Role.COMMAND_LINE] = 2500.0
    """A memo with a lower bandwidth, in Hz, is indeterminate (`quality:narrow_band`)."""
    audio_attempts: Annotated[Count, Role.WORKER | Role.DASHBOARD | Role.COMMAND_LINE] = 4
    """Attempts to read an object that does not exist (yet), before it counts as missing (`audio:missing`)."""
    audio_retry_s: Annotated[Positive, Role.WORKER | Role.DASHBOARD | Role.COMMAND_LINE] = 0.5
    """Seconds before the first retry; the wait doubles, with jitter, up to ten times that."""
    audio_timeout_s: Annotated[Positive, Role.WORKER | Role.DASHBOARD | Role.COMMAND_LINE] = 30.0
    """Seconds that reading one object from a storage other than a local disk may take, from the connection to its last
    byte; then the read is retried."""
    audio_give_up_s: Annotated[Positive, Role.WORKER | Role.DASHBOARD | Role.COMMAND_LINE] = 900.0
    """An object that its storage does not deliver for this many seconds, while it delivers others, becomes a dead
    letter (`audio:unavailable`, `audio:forbidden`). While a storage delivers nothing, memos wait."""
    audio_outage_s: Annotated[Positive, Role.WORKER | Role.DASHBOARD | Role.COMMAND_LINE] = 86400.0
    """The same for an object whose storage delivers nothing for this many seconds while the storages of other prefixes
    deliver. While no storage delivers, memos wait without limit."""
    audio_hard_links: Annotated[bool, Role.WORKER | Role.DASHBOARD | Role.COMMAND_LINE] = False
    """Read local files with more than one hard link; another name of theirs may be outside the prefix."""


class Workers(BaseModel, frozen=True, defer_build=True):
    """Models, batches and dead letters of the feature workers; the agents read the model bundle and the limits too."""

    bundle: Annotated[Folder, Role.WORKER | Role.AGENTS | Role.DASHBOARD | Role.UP | Role.COMMAND_LINE] = SHIPPED_BUNDLE
    """Model bundle: encoder, head, calibration, population, and which modalities they need. The shipped one is a
    demonstration, trained on synthetic voices: it says nothing about any person."""
    encoder: Annotated[str | None, Role.WORKER | Role.UP | Role.COMMAND_LINE] = None
    """Hugging Face folder or hub name of the encoder to use instead of the bundle's; `@revision` pins one."""
    engine: Annotated[Literal["auto", "xla", "openvino", "onnx"], Role.WORKER | Role.COMMAND_LINE] = "auto"
    """What computes the encoder: `xla` by TensorFlow, on an accelerator or a CPU; `openvino` or `onnx` on a CPU, each
    with the extra of that name and without TensorFlow. `auto` takes what is quickest of those that are installed."""
    window_s: Annotated[Positive, Role.WORKER | Role.COMMAND_LINE] = Field(
        default_factory=lambda known: window_s_of(known["bundle"])
    )
    """Seconds of an analysis window, the same for every modality. Default: that of the bundle, usually 15."""
    acoustic_processes: Annotated[Count, Role.WORKER | Role.COMMAND_LINE] = 2
    """Processes in which one acoustic worker extracts features."""
    intra_op_threads: Annotated[int, Field(ge=0), Role.WORKER | Role.COMMAND_LINE] = 0
    """Threads for one operation of TensorFlow or ONNX Runtime, and for all of OpenVINO; 0 lets them choose."""
    precision: Annotated[Literal["float32", "bfloat16", "int8"], Role.WORKER | Role.COMMAND_LINE] = "float32"
    """Type of the encoder's weights and activations; int8: that of its products with weights, on OpenVINO."""
    batch_audio_s: Annotated[Positive, Role.WORKER] = 60.0
    """Seconds of audio in one batch of a worker."""
    inflight_audio_s: Annotated[Positive, Role.WORKER] = 600.0
    """Seconds of decoded audio that a worker holds in memory, its current batches included; beyond it memos wait before
    they are decoded and partitions are paused. A longer memo proceeds alone."""
    dead_letter_max_share: Annotated[Share, Role.WORKER | Role.AGENTS] = 0.25
    """Largest share of dead letters among the last `UNDERTONE_DEAD_LETTER_WINDOW` records; beyond it the process stops,
    a worker only after one retry. Of one user at most a quarter of it counts."""
    dead_letter_window: Annotated[Count, Role.WORKER | Role.AGENTS] = 100
    """Number of records for `UNDERTONE_DEAD_LETTER_MAX_SHARE`."""
    dead_letter_max_run: Annotated[Count, Role.WORKER | Role.AGENTS] = 20
    """Most dead letters in a row; beyond it the process stops, a worker only after one retry. Of one user at most a
    quarter of it counts."""
    dead_letter_back_off_s: Annotated[Positive, Role.WORKER] = 5.0
    """Seconds that a worker waits before it retries a record after too many dead letters."""
    encoder_batch_s: Annotated[Positive, Role.WORKER | Role.COMMAND_LINE] = 16.0
    """Seconds of audio, padding included, that the encoder computes at once; several hundred on an accelerator."""
    program_cache: Annotated[Folder | None, Role.WORKER | Role.COMMAND_LINE] = None
    """Where the encoder's compiled programs are kept between starts, for one process at a time. Without it workers keep
    none, and `undertone score` and `undertone features` keep theirs in `UNDERTONE_HOME`."""
    warm: Annotated[bool, Role.WORKER | Role.COMMAND_LINE] = False
    """Compile all of the encoder's programs while no memo waits; otherwise each when a memo first needs it."""
    memory_growth: Annotated[bool, Role.WORKER | Role.COMMAND_LINE] = True
    """Take an accelerator's memory as it is needed; `false` takes all of it at start."""


class Agents(BaseModel, frozen=True, defer_build=True):
    """When a memo is scored, and when a change becomes an alert."""

    alerts_per_user_year: Annotated[Positive, Role.AGENTS | Role.DASHBOARD | Role.COMMAND_LINE] = 1.0
    """False drift alerts that you accept for each user and year; the threshold follows from it. Fewer false alerts mean
    that a change is found later: `undertone drift calibrate` shows by how much."""
    memos_per_day: Annotated[Positive, Role.AGENTS | Role.COMMAND_LINE] = 1.0
    """Memos that a usual user records a day; `UNDERTONE_ALERTS_PER_USER_YEAR` holds for users who do."""
    autocorrelation: Annotated[Annotated[float, Field(ge=0, le=0.5)] | None, Role.AGENTS | Role.COMMAND_LINE] = None
    """Correlation of a memo's score with the next, if you measured it. Without it the threshold allows for any up to
    0.5."""
    modalities: Annotated[
        Listed[Modality], Role.WORKER | Role.AGENTS | Role.DASHBOARD | Role.UP | Role.COMMAND_LINE
    ] = Field(default_factory=lambda known: modalities_of(known["bundle"]))
    """Modalities that a memo needs before it is scored; each needs its worker. Default: those of the bundle, or
    `acoustic,embedding` on a machine without one. A modality that the bundle needs and that is left out here is missing
    from every score (`missing:…`)."""
    join_timeout_s: Annotated[Positive, Role.AGENTS] = 900.0
    """A memo that still lacks a modality after this many seconds gets an indeterminate score, once every worker has
    passed it: before, the modality may still come, and the memo waits."""
    join_give_up_s: Annotated[Positive, Role.AGENTS] = 3 * 86400.0
    """A memo that still lacks a modality after this many seconds gets an indeterminate score although a worker has not
    passed it, and its score when the modality comes. At most nine tenths of `UNDERTONE_JOIN_TTL_S` count."""
    join_ttl_s: Annotated[Positive, Role.AGENTS] = 7 * 86400.0
    """Seconds that Redis remembers a memo after its last change, so that redelivered features are recognised."""
    reconciled_s: Annotated[Positive, Role.AGENTS] = 86400.0
    """After Redis has lost its data: uploads from this many seconds before that have no outcome are resubmitted."""
    state_ttl_s: Annotated[Positive, Role.AGENTS | Role.DASHBOARD] = 400 * 86400.0
    """Seconds that Redis keeps a user's baseline and drift state after the last memo."""
    agent_batch: Annotated[Count, Role.AGENTS] = 500
    """Most records in one batch of an agent."""
    reorder_window_s: Annotated[Positive, Role.AGENTS | Role.COMMAND_LINE] = 2 * 86400.0
    """A memo may be this many seconds older than its user's latest; one that is older still is scored, but left out of
    drift detection."""
    alert_cooldown_s: Annotated[NotNegative, Role.AGENTS | Role.COMMAND_LINE] = 7 * 86400.0
    """Seconds from the end of an episode to the earliest next one of its kind for the same user."""
    silence_alerts_per_user_year: Annotated[NotNegative, Role.AGENTS | Role.COMMAND_LINE] = 0.5
    """False silence alerts that you accept for each user and year: of pauses that are longer than a user's own habit,
    and no more. Fewer mean that a silence is raised later; 0 raises none."""
    level_high: Annotated[Count, Role.AGENTS | Role.COMMAND_LINE] = 5
    """Scores in the high band, among the last `UNDERTONE_LEVEL_OF`, that raise a level alert."""
    level_of: Annotated[int, Field(ge=0, le=31), Role.AGENTS | Role.COMMAND_LINE] = 7
    """Number of latest scores that a level alert looks at; 0 raises none."""

    @field_validator("modalities")
    @classmethod
    def _can_meet(cls, value: tuple[Modality, ...]) -> tuple[Modality, ...]:
        if not value or Modality.UNKNOWN in value or len(set(value)) < len(value):
            raise ValueError(f"name one or more of {', '.join(MODALITIES)}, each once")
        return value


# pydantic takes the fields of the last base first.
class Settings(
    RedisSecurity,
    KafkaSecurity,
    AuditTrail,
    Keeping,
    Sealing,
    SignIn,
    Dashboard,
    History,
    Bridges,
    Agents,
    Workers,
    Audio,
    Processes,
    Connections,
    BaseSettings,
):
    """Everything an operator can set. Lengths in seconds (`_s`), rates in hertz (`_hz`), sizes in bytes (`_bytes`)."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        defer_build=False,
        extra="ignore",
        populate_by_name=True,
        env_ignore_empty=True,
    )

    @classmethod
    def load(cls, **overrides: object) -> Self:
        """Settings from the environment. Raises ConfigurationError that names each wrong value and its rule."""
        secrets = os.environ.get(SECRETS_DIR)
        if secrets is not None and not Path(secrets).is_dir():
            raise ConfigurationError(f"{SECRETS_DIR} is not a folder")
        try:
            return cls(_secrets_dir=secrets, **overrides)  # type: ignore[arg-type]
        except ValidationError as error:
            # The values themselves stay out: one of them may be a secret.
            wrong = (e for e in error.errors() if e["type"] != "default_factory_not_called")  # follows from the others
            faults = "; ".join(_fault(e["loc"], e["msg"]) for e in wrong)
            raise ConfigurationError(f"settings cannot be used: {faults}") from None

    def child_environment(self, roles: Role = Role.ALL) -> dict[str, str]:
        """The environment in which a child process loads these very settings, whatever their source.

        roles: of the child. It gets no setting that these do not read, and no folder of secrets.
        """
        read = {name for name in type(self).model_fields if roles_of(name) & roles}
        given = {variable(name): _as_text(getattr(self, name)) for name in self.model_fields_set & read}
        rest = os.environ if roles is Role.ALL else {n: text for n, text in os.environ.items() if not is_setting(n)}
        return {**rest, **{name: text for name, text in given.items() if text is not None}}

    @field_validator("log_level", mode="before")
    @classmethod
    def _loud(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value


def ignored_variables() -> list[str]:
    """A sentence about each variable, and each file of the folder of secrets, that looks like a setting and is none."""
    secrets = os.environ.get(SECRETS_DIR)
    files = (path.name for path in Path(secrets).iterdir()) if secrets and Path(secrets).is_dir() else ()
    given = dict.fromkeys((name for name in files if not name.startswith(".")), "") | dict(os.environ)
    return list(unknown_variables(given, Settings.model_fields))


def roles_of(name: str) -> Role:
    """The roles that a setting declares."""
    declared = (each for each in Settings.model_fields[name].metadata if isinstance(each, Role))
    return reduce(or_, declared, Role(0))


def is_secret(name: str) -> bool:
    """Whether a setting is a secret, or may hold one, as the address of a server does."""
    field = Settings.model_fields[name]
    return not field.repr or SecretStr in get_args(field.annotation)


def is_setting(name: str) -> bool:
    """Whether an environment variable is one of ours: any with the prefix, and those that platforms already set."""
    return name.upper().startswith(PREFIX) or name.upper() in PLAIN


def _as_text(value: object) -> str | None:
    """A value as text for the environment; None for None."""
    if value is None:
        return None
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(int(value)) if isinstance(value, bool) else str(value)


def _fault(location: tuple[int | str, ...], message: str) -> str:
    """What is wrong with one value, or, without a location, with several together."""
    return f"{variable(str(location[0]))}: {message}" if location else message
