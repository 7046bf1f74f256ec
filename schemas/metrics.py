"""Every metric that Undertone exposes: name, kind, unit, labels and meaning.

`workers/service/prometheus.py` makes the counters from this list, `docs/metrics.md` is generated from it, and
tests compare dashboards and alert rules with it. Names follow Prometheus' rules: base units, `_total` on counters, the
unit last. No label ever holds the id of a user or a memo, a path or an address.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from schemas.channels import CHANNELS
from schemas.event_enums import AuditAction
from schemas.key_grants import KEY_GRANTS
from schemas.pipeline import MODALITIES, STAGES
from schemas.reasons import ABSTENTIONS, OTHER
from schemas.state_keys import STATE_KEYS

PREFIX = "undertone_"


class MetricKind(StrEnum):
    """What a metric is to Prometheus."""

    COUNTER = "counter"
    """Only grows; read its rate."""
    GAUGE = "gauge"
    """Goes up and down; read its value."""
    HISTOGRAM = "histogram"
    """Observations in buckets; read its quantiles."""
    INFO = "info"
    """Always 1; read its labels."""


def _named(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


LABELS = {
    "stage": f"Pipeline stage: {_named(dict.fromkeys(stage.name for stage in STAGES))} (`letters`: dead letters), and "
    f"the bridges {_named(channel.name for channel in CHANNELS)}.",
    "reason": "Short code without its detail, such as `audio:undecodable`, `record:forged` or `missing:acoustic`; of "
    "abstentions one of "
    f"{_named(ABSTENTIONS)}, else `{OTHER}`; of refused requests `host`, `syntax`, `forwarded`, `site`, `rate`, "
    "`route`, `signed_out`, `token`, `permission`, `csrf`, `unrecorded`.",
    "target": "Unavailable dependency: `broker`, `redis`, `storage`, `registry`, `receiver`, `database`, `keys`.",
    "topic": "Kafka topic.",
    "partition": "Kafka partition.",
    "modality": f"{_named(MODALITIES)}.",
    "band": "`low`, `high`, `indeterminate`.",
    "entry": f"Kind of key in Redis: {_named(row.name for row in STATE_KEYS)}, `other`.",
    "kind": "`drift`, `level`, `silence`.",
    "state": "`raised`, `escalated`, `resolved`.",
    "outcome": "`ok` or `failed`; of drift updates `charted`, `indeterminate`, `duplicate`, `late`, `crowded`, "
    "`future`, `retired`, `restarted`; of uploads `accepted`, `repeated`, `refused`, `cut`, `failed`; of requests for "
    "keys `ok`, `refused`, `failed`.",
    "role": f"Who asks the key server: {_named(KEY_GRANTS)}, `other`.",
    "operation": "Redis operation: `read`, `write`, `find`, `delete`, `deadlines`. Of the key directory: `find`, "
    "`enrol`.",
    "scheme": "Scheme of the audio's URI: `file`, `s3`, `memory`.",
    "bundle": "Id of the model bundle.",
    "version": "Version of Undertone.",
    "engine": "`xla`, `openvino`, `onnx`.",
    "precision": "`float32`, `bfloat16`, `int8`.",
    "route": "Path template of the dashboard's route, such as `/people/{user_id}`; `unmatched` for any other address.",
    "method": "Method of a request; `unmatched` where no route takes it.",
    "action": f"{_named(action.value for action in AuditAction)}.",
    "allowed": "`true`, or `false` for what was refused.",
    "status": "HTTP status of the answer; 499 when the client was gone before it.",
}
"""Every label, and the values it takes: few, and known beforehand."""

FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds; for a call over the network."""
WORK = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds; for a batch of a stage."""
WAY = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0, 604800.0)
"""Seconds; from upload or recording to a result, with up to a week of lag."""
TENTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""For a share or a probability."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. name: as Prometheus shows it; unit: empty for counts; buckets: of a histogram, upper bounds."""

    name: str
    kind: MetricKind
    meaning: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    buckets: tuple[float, ...] = ()


def _counter(name: str, meaning: str, *labels: str, unit: str = "") -> Metric:
    return Metric(f"{PREFIX}{name}_total", MetricKind.COUNTER, meaning, labels, unit)


def _gauge(name: str, meaning: str, *labels: str, unit: str = "") -> Metric:
    return Metric(PREFIX + name, MetricKind.GAUGE, meaning, labels, unit)


def _seconds(name: str, meaning: str, *labels: str, buckets: tuple[float, ...]) -> Metric:
    return Metric(f"{PREFIX}{name}_seconds", MetricKind.HISTOGRAM, meaning, labels, "seconds", buckets)


def _share(name: str, meaning: str, *labels: str) -> Metric:
    return Metric(f"{PREFIX}{name}_ratio", MetricKind.HISTOGRAM, meaning, labels, "ratio", TENTHS)


def _info(name: str, meaning: str, *labels: str) -> Metric:
    return Metric(f"{PREFIX}{name}_info", MetricKind.INFO, meaning, labels)


# Records
RECORDS_IN = _counter("records_in", "Records that a stage consumed from its topic, redelivered ones included.", "stage")
RECORDS_OUT = _counter("records_out", "Records that a stage delivered to its topics.", "stage")
RECORDS_FAILED = _counter(
    "records_failed", "Records that failed permanently at this stage, whichever stage writes the dead letter.", "stage"
)
RECORDS_REPEATED = _counter("records_repeated", "Duplicate records skipped.", "stage")
MEMOS_UNREAD = _counter(
    "memos_unread", "Memos that a worker did not read, because their person does not consent.", "stage", "reason"
)
DEAD_LETTERS = _counter("dead_letters", "Dead letters that the stage wrote.", "stage", "reason")
DEAD_LETTER_SHARE = _gauge(
    "dead_letter_ratio", "Share of dead letters in the window of the cap.", "stage", unit="ratio"
)
RETRIES = _counter("retries", "Retries after transient errors.", "stage", "target")

# Time
STAGE_DURATION = _seconds("stage_duration", "Time that a stage took for a batch.", "stage", buckets=WORK)
UPLOAD_LATENCY = _seconds(
    "upload_latency", "From the memo's upload until the stage delivered its results.", "stage", buckets=WAY
)
RECORDING_LATENCY = _seconds(
    "recording_latency", "From the memo's recording until the stage delivered its results.", "stage", buckets=WAY
)
LAST_PROGRESS = _gauge(
    "last_progress_timestamp_seconds",
    "Unix time at which the stage last finished a batch or found nothing to do.",
    "stage",
    unit="seconds",
)

# Kafka
LAG_RECORDS = _gauge(
    "lag_records",
    "Records in the partition that the stage has not committed. The agents export it for all stages, dead and stuck "
    "ones included; a bridge exports its own.",
    "stage",
    "topic",
    "partition",
)
LAG_SECONDS = _gauge(
    "lag_seconds",
    "Age of the oldest record in the partition that the stage has not committed, 0 when none waits; exported like "
    "the lag in records.",
    "stage",
    "topic",
    "partition",
    unit="seconds",
)
LAG_OBSERVED = _gauge(
    "lag_observed_timestamp_seconds", "Unix time at which the committed offsets were last read.", unit="seconds"
)
COMMITS = _counter("commits", "Offset commits.", "stage", "outcome")
REBALANCES = _counter("rebalances", "Times that partitions were reassigned.", "stage")
PARTITIONS_ASSIGNED = _gauge("partitions_assigned", "Partitions assigned to the stage.", "stage")
PARTITIONS_PAUSED = _gauge("partitions_paused", "Partitions paused while the stage's buffer is full.", "stage")

# Audio
AUDIO_SECONDS = _counter("audio_seconds", "Seconds of audio processed; its rate is the speed.", "stage", unit="seconds")
REAL_TIME_FACTOR = _gauge(
    "real_time_factor_ratio", "Processing time over length of audio, last batch.", "stage", unit="ratio"
)
BATCH_FILL = _share("batch_fill", "Audio in a batch over the audio that fits in a batch.", "stage")
PADDING_SHARE = _share("padding", "Share of a batch that is padding.", "stage")
INFLIGHT_AUDIO = _gauge("inflight_audio_seconds", "Decoded audio held in memory.", "stage", unit="seconds")
INFLIGHT_RECORDS = _gauge("inflight_records", "Records consumed and not yet committed.", "stage")
STORAGE_LATENCY = _seconds("storage_latency", "Time to read a memo's audio.", "scheme", "outcome", buckets=WORK)

# Fusion and scores
JOINS_OPEN = _gauge("joins_open", "Memos that wait for a modality.")
JOIN_OLDEST = _gauge("join_oldest_seconds", "Age of the oldest join that is open.", unit="seconds")
STATE_LOSSES = _counter("state_losses", "Times that Redis was found to have lost all data; every baseline restarts.")
MEMOS_SENT_AGAIN = _counter("memos_sent_again", "Memos without an outcome after such a loss that were resubmitted.")
JOINS_TIMED_OUT = _counter("joins_timed_out", "Joins closed by timeout without this modality.", "modality")
SCORES = _counter("scores", "Scores delivered.", "band", "bundle")
INDETERMINATE = _counter("scores_indeterminate", "Reasons for which the system abstained.", "reason")
PROBABILITY = _share("score_probability", "Calibrated probabilities.", "bundle")

# Drift and alerts
DRIFT_UPDATES = _counter(
    "drift_updates",
    "Scores that the drift detector received; it ignores `late`, `crowded` and `future` ones (a wrong clock).",
    "outcome",
)
ALERTS = _counter("alerts", "Alerts, one per step of an episode.", "kind", "state")
ALERTS_BUDGETED = _counter("alerts_budgeted", "False alerts that the false-alarm budget allows for the memos so far.")
SILENCE_WATCHED = _gauge("silence_watched_users", "Users whose silence is watched.")
SILENCE_HELD = _gauge(
    "silence_held",
    "1 while no silence is raised: `behind`, a stage is a day behind, or that is unknown; `everybody`, most users "
    "fell silent together (an outage of the platform, or a holiday), and their silence counts from its end.",
    "reason",
)
BASELINE_RESETS = _counter(
    "baseline_resets",
    "Baselines restarted: a new `bundle`, an `unreadable` state, or one `lost` from Redis.",
    "reason",
)
STATE_UNREADABLE = _counter(
    "state_unreadable",
    "Values in Redis that could not be read: moved to quarantine, and their user or list restarted.",
    "entry",
)

# Bridges
EPISODES_OPEN = _gauge("episodes_open", "Episodes that the Alertmanager bridge keeps firing.")
ALERTS_UNDELIVERED = _counter(
    "alerts_undelivered",
    "Alerts that a receiver rejected, or did not accept in time; they stay on the topic.",
    "stage",
    "reason",
)
BRIDGE_SKIPPED = _counter(
    "bridge_skipped",
    "Scores and alerts that a receiver is not meant to get: those of pseudonyms that are no known patient.",
    "stage",
    "reason",
)
DELIVERY_LATENCY = _seconds(
    "alert_delivery", "From the alert's arrival on its topic until a receiver accepted it.", "stage", buckets=WAY
)

# Redis
REDIS_LATENCY = _seconds("redis_latency", "Time of a call to Redis.", "operation", "outcome", buckets=FAST)
REDIS_CONFLICTS = _counter("redis_conflicts", "Updates retried because another process wrote first.")

# Keys
RECORDS_ERASED = _counter(
    "records_erased", "Records skipped because their person, or the keys of their month, were erased.", "stage"
)
KEY_DIRECTORY_LATENCY = _seconds(
    "key_directory", "Time of a look into the key directory.", "operation", "outcome", buckets=FAST
)
KEYS_UNKNOWN = _gauge(
    "keys_unknown",
    "1 while records wait because the key directory lacks their subject or the key of their month, or it is damaged.",
)
KEYS_OVERDUE = _gauge(
    "keys_overdue_months",
    "Months whose keys are older than UNDERTONE_KEYS_RETENTION_S and not destroyed, in the directory or its backups.",
)
KEY_REQUESTS = _counter("key_requests", "Requests that the key server answered.", "role", "outcome")
KEYS_CACHED = _gauge("keys_cached_users", "Users whose keys this process holds in memory.")

# What runs
BUNDLE = _info("bundle", "The model in use.", "bundle")
BUILD = _info("build", "The version that runs.", "version")
ENGINE = _info("engine", "What computes the encoder.", "engine", "precision")

# Dashboard
HTTP_REQUESTS = _counter("http_requests", "Requests that the dashboard answered.", "route", "method", "status")
HTTP_DURATION = _seconds(
    "http_request_duration",
    "From a request's headers to the end of its answer; live events last as long as their subscribers.",
    "route",
    "method",
    buckets=FAST,
)
LIVE_SUBSCRIBERS = _gauge("live_subscribers", "Open connections of the dashboard that follow live events.")
LIVE_EVENTS = _counter("live_events", "Live events sent to subscribers.", "topic")
LIVE_CUT = _counter("live_cut", "Subscribers cut off because they read too slowly; they resume where they were.")
UPLOADS = _counter("uploads", "Memos uploaded to the dashboard over HTTP.", "outcome")
UPLOAD_BYTES = _counter("upload_bytes", "Audio that the dashboard accepted over HTTP.", unit="bytes")

AUDIT_EVENTS = _counter(
    "audit_events", "Looks at people's data and steps of sessions, acknowledged by Kafka.", "action", "allowed"
)
AUDIT_HEAD_TIMESTAMP = _gauge(
    "audit_head_timestamp_seconds", "When this process last signed a head of the audit trail.", unit="seconds"
)
AUDIT_COVERED_TIMESTAMP = _gauge(
    "audit_covered_timestamp_seconds",
    "When this process, which signs heads, last left no event of the audit trail without one on every anchor.",
    unit="seconds",
)
SIGN_INS = _counter("sign_ins", "Sign-ins that came back from the identity provider.", "outcome")
REQUESTS_REFUSED = _counter("http_requests_refused", "Requests that no route saw, and answers withheld.", "reason")

METRICS: tuple[Metric, ...] = tuple(value for value in tuple(globals().values()) if isinstance(value, Metric))
"""All of them, in the order above."""
