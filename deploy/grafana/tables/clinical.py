"""The dashboard of clinical safety: scores and alerts."""

from collections.abc import Sequence

from deploy.grafana.panel import Panel, per_second

CLINICAL: dict[str, Sequence[Panel]] = {
    "Scores": (
        Panel(
            "Distribution of scores",
            "Scores per tenth, over a day. Assume that a moving peak is a changed input until proven otherwise.",
            "short",
            {"sum by (le) (increase(undertone_score_probability_ratio_bucket[1d]))": "{{le}}"},
            kind="bargauge",
            width=12,
            height=9,
        ),
        Panel(
            "Mean score by bundle",
            "All users, over a day. Users change one by one; a joint move is a release, a phone or a codec.",
            "none",
            {
                "sum by (bundle) (increase(undertone_score_probability_ratio_sum[1d]))"
                " / sum by (bundle) (increase(undertone_score_probability_ratio_count[1d]))": "{{bundle}}"
            },
            width=12,
            height=9,
            most=1,
        ),
        Panel(
            "Scores by band",
            "Share of each band, over six hours.",
            "percentunit",
            {
                "sum by (band) (increase(undertone_scores_total[6h]))"
                " / ignoring (band) group_left sum(increase(undertone_scores_total[6h]))": "{{band}}"
            },
            stacked=True,
            most=1,
        ),
        Panel(
            "Share indeterminate",
            "Memos on which the system abstained. Those users are not monitored.",
            "percentunit",
            {
                'sum(increase(undertone_scores_total{band="indeterminate"}[6h]))'
                " / sum(increase(undertone_scores_total[6h]))": "abstained"
            },
            worry=0.4,
            most=1,
        ),
        Panel(
            "Why it abstained",
            "Reasons over six hours; a memo may have several.",
            "short",
            {"sum by (reason) (increase(undertone_scores_indeterminate_total[6h]))": "{{reason}}"},
        ),
        Panel(
            "Open joins, and the oldest",
            "Memos waiting for a modality.",
            "short",
            {"sum(undertone_joins_open)": "open", "max(undertone_join_oldest_seconds)": "age of the oldest (s)"},
        ),
        Panel(
            "Missing modalities",
            "Joins closed by their timeout, over an hour.",
            "short",
            {"sum by (modality) (increase(undertone_joins_timed_out_total[1h]))": "{{modality}}"},
            worry=10,
        ),
        Panel(
            "Bundles in use",
            "More than one is a roll-out; after an hour, an unfinished one.",
            "short",
            {"count by (bundle) (undertone_bundle_info)": "{{bundle}}"},
            worry=None,
        ),
    ),
    "Alerts": (
        Panel(
            "Raised against the budget, per week",
            "Episodes raised, and the operator's false-alarm budget. True changes come on top of the budget.",
            "short",
            {
                'sum(increase(undertone_alerts_total{state="raised"}[7d]))': "raised",
                "sum(increase(undertone_alerts_budgeted_total[7d]))": "false-alarm budget",
            },
        ),
        Panel(
            "Alerts by kind and state",
            "Steps of episodes, over a day.",
            "short",
            {"sum by (kind, state) (increase(undertone_alerts_total[1d]))": "{{kind}} {{state}}"},
        ),
        Panel(
            "Silence",
            "Users whose silence is watched, and why none is raised: a stage behind, or most users silent together.",
            "short",
            {
                "max(undertone_silence_watched_users)": "watched",
                "max by (reason) (undertone_silence_held)": "not raised: {{reason}}",
            },
        ),
        Panel(
            "Drift updates",
            "Outcome of each score; the detector ignores `late`, `crowded` and `future` ones.",
            "cps",
            {per_second("undertone_drift_updates_total", "outcome"): "{{outcome}}"},
        ),
        Panel(
            "Baselines restarted",
            "`bundle` is a roll-out. `lost` and `unreadable` are lost states.",
            "short",
            {"sum by (reason) (increase(undertone_baseline_resets_total[1d]))": "{{reason}}"},
        ),
    ),
}
