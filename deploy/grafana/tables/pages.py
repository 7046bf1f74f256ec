"""The dashboard of `undertone dashboard` and `undertone history`."""

from collections.abc import Sequence

from deploy.grafana.panel import Panel, per_second

PAGES: dict[str, Sequence[Panel]] = {
    "Pages and API": (
        Panel(
            "Requests",
            "Answered by the dashboard, by status.",
            "reqps",
            {per_second("undertone_http_requests_total", "status"): "{{status}}"},
        ),
        Panel(
            "Failing requests",
            "Share of answers with status 500 and above. Above 5 % fires UndertoneDashboardFailing.",
            "percentunit",
            {
                'sum(rate(undertone_http_requests_total{status=~"5.."}[$__rate_interval]))'
                " / sum(rate(undertone_http_requests_total[$__rate_interval]))": "failing"
            },
            worry=0.05,
            most=1,
        ),
        Panel(
            "Slowest pages, 95 %",
            "From a request's headers to the end of its answer. Live events and uploads are left out: they last.",
            "s",
            {
                "topk(5, histogram_quantile(0.95, sum by (le, route) (rate("
                'undertone_http_request_duration_seconds_bucket{route!~".*/(events|memos)"}[$__rate_interval]))))'
                "": "{{route}}"
            },
            worry=0.5,
        ),
        Panel(
            "Refused requests",
            "Requests that no route saw, and answers withheld, by reason. `rate` is a client in a hurry, `csrf`, "
            "`host`, `site` and `forwarded` an attack or a wrong proxy, `unrecorded` a look that Kafka did not record.",
            "short",
            {"sum by (reason) (increase(undertone_http_requests_refused_total[1h]))": "{{reason}}"},
        ),
        Panel(
            "Looks and sessions",
            "Records of audit.events, by action, over an hour.",
            "short",
            {"sum by (action, allowed) (increase(undertone_audit_events_total[1h]))": "{{action}} allowed={{allowed}}"},
        ),
        Panel(
            "Sign-ins",
            "That came back from the identity provider, over an hour.",
            "short",
            {"sum by (outcome) (increase(undertone_sign_ins_total[1h]))": "{{outcome}}"},
        ),
    ),
    "History": (
        Panel(
            "History is behind",
            "Age of the oldest record that the pages do not show yet.",
            "s",
            {'max(undertone_lag_seconds{stage="history"})': "lag"},
            worry=60,
        ),
        Panel(
            "Records kept",
            "Taken from their topics into the database.",
            "cps",
            {'sum(rate(undertone_records_in_total{stage="history"}[$__rate_interval]))': "records"},
        ),
        Panel(
            "Retries",
            "A database or a broker that does not answer; the history waits for it.",
            "cps",
            {'sum by (target) (rate(undertone_retries_total{stage="history"}[$__rate_interval]))': "{{target}}"},
            worry=0.1,
        ),
    ),
}
