"""The dashboard for whoever is on call: lag, throughput, latency, failures, the embedding worker, alert delivery."""

from collections.abc import Sequence

from deploy.grafana.panel import Panel, p95, per_second

OVERVIEW: dict[str, Sequence[Panel]] = {
    "At a glance": (
        Panel(
            "Processes up",
            "By role. Fewer than you started fires UndertoneDown.",
            "short",
            {'sum by (role) (up{job="undertone"})': "{{role}}"},
            kind="stat",
        ),
        Panel(
            "Highest lag",
            "Age of the oldest record waiting for any stage.",
            "s",
            {"max(undertone_lag_seconds)": "lag"},
            worry=60,
            kind="stat",
        ),
        Panel(
            "Firing alerts",
            "Alert rules that fire now; the runbook has an entry for each.",
            "short",
            {'count by (alertname) (ALERTS{alertname=~"Undertone.*",alertstate="firing"})': "{{alertname}}"},
            worry=1,
            kind="stat",
        ),
    ),
    "Lag and throughput": (
        Panel(
            "Lag in seconds",
            "Age of the oldest waiting record, by stage. A line that rises by one second per second is a dead stage.",
            "s",
            {"max by (stage) (undertone_lag_seconds)": "{{stage}}"},
            worry=60,
        ),
        Panel(
            "Lag in records",
            "Waiting records, by stage.",
            "short",
            {"sum by (stage) (undertone_lag_records)": "{{stage}}"},
        ),
        Panel(
            "Lag by partition",
            "A single rising line is one busy user, or one process.",
            "short",
            {"undertone_lag_records": "{{stage}} {{partition}}"},
        ),
        Panel(
            "Records in", "Consumed, by stage.", "cps", {per_second("undertone_records_in_total", "stage"): "{{stage}}"}
        ),
        Panel(
            "Records out",
            "Delivered, by stage.",
            "cps",
            {per_second("undertone_records_out_total", "stage"): "{{stage}}"},
        ),
        Panel(
            "Audio",
            "Seconds of audio per second, by worker: ten equals ten people speaking at once.",
            "none",
            {per_second("undertone_audio_seconds_total", "stage"): "{{stage}}"},
        ),
    ),
    "Latency": (
        Panel(
            "Upload to delivered, 95 %",
            "For fusion, the time from upload to score; acoustic and embedding are parts of it.",
            "s",
            {p95("undertone_upload_latency_seconds"): "{{stage}}"},
            worry=900,
        ),
        Panel(
            "Recording to delivered, 95 %",
            "Includes the time until the phone uploads.",
            "s",
            {p95("undertone_recording_latency_seconds"): "{{stage}}"},
        ),
        Panel(
            "Batch duration, 95 %",
            "Time that a stage needs for one batch.",
            "s",
            {p95("undertone_stage_duration_seconds"): "{{stage}}"},
        ),
    ),
    "Failures": (
        Panel(
            "Dead letters by reason",
            "Records that failed permanently.",
            "cps",
            {per_second("undertone_dead_letters_total", "stage, reason"): "{{stage}} {{reason}}"},
        ),
        Panel(
            "Share of dead letters",
            "Share of the last records. The stage stops at a quarter.",
            "percentunit",
            {"max by (stage) (undertone_dead_letter_ratio)": "{{stage}}"},
            worry=0.1,
            most=1,
        ),
        Panel(
            "Retries by dependency",
            "Retries after transient errors. Nothing is lost meanwhile.",
            "cps",
            {per_second("undertone_retries_total", "stage, target"): "{{stage}} {{target}}"},
        ),
        Panel(
            "Rebalances",
            "Each pauses the consumer group.",
            "short",
            {"sum by (stage) (increase(undertone_rebalances_total[15m]))": "{{stage}}"},
            worry=10,
        ),
        Panel(
            "Redis latency, 99 %",
            "Time of one call.",
            "s",
            {
                "histogram_quantile(0.99, sum by (le, operation) "
                "(rate(undertone_redis_latency_seconds_bucket[$__rate_interval])))": "{{operation}}"
            },
            worry=0.25,
        ),
        Panel(
            "Storage latency, 95 %",
            "Time of one audio read.",
            "s",
            {p95("undertone_storage_latency_seconds", "scheme, outcome"): "{{scheme}} {{outcome}}"},
        ),
    ),
    "Embedding worker": (
        Panel(
            "Real-time factor",
            "Processing time over audio time: 0.1 is ten times faster than speech.",
            "none",
            {"max by (stage) (undertone_real_time_factor_ratio)": "{{stage}}"},
            worry=1,
        ),
        Panel(
            "Batch fill, mean",
            "Full batches use an accelerator well; a low fill with little lag is fine.",
            "percentunit",
            {
                "sum by (stage) (rate(undertone_batch_fill_ratio_sum[$__rate_interval]))"
                " / sum by (stage) (rate(undertone_batch_fill_ratio_count[$__rate_interval]))": "{{stage}}"
            },
            most=1,
        ),
        Panel(
            "Decoded audio in memory",
            "At UNDERTONE_INFLIGHT_AUDIO_S the worker pauses its partitions.",
            "s",
            {"sum by (stage) (undertone_inflight_audio_seconds)": "{{stage}}"},
        ),
        Panel(
            "Process memory",
            "Resident set size.",
            "bytes",
            {'process_resident_memory_bytes{job="undertone"}': "{{role}} {{instance}}"},
        ),
        Panel(
            "Partitions assigned",
            "By stage; the sum is the number of partitions of the topic.",
            "short",
            {"sum by (stage) (undertone_partitions_assigned)": "{{stage}}"},
        ),
        Panel(
            "Partitions paused",
            "The worker's buffer is full; together with lag, add processes.",
            "short",
            {"sum by (stage) (undertone_partitions_paused)": "{{stage}}"},
        ),
    ),
    "Alert delivery": (
        Panel(
            "Topic to receiver, 95 %",
            "From arrival on the topic until the receiver accepted.",
            "s",
            {p95("undertone_alert_delivery_seconds"): "{{stage}}"},
            worry=60,
        ),
        Panel(
            "Open in Alertmanager",
            "Episodes that the bridge keeps firing.",
            "short",
            {"sum(undertone_episodes_open)": "open"},
        ),
        Panel(
            "Undelivered",
            "Rejected, or not accepted for a day. Each is one too many.",
            "short",
            {"sum by (stage, reason) (increase(undertone_alerts_undelivered_total[1d]))": "{{stage}} {{reason}}"},
            worry=1,
        ),
    ),
}
