"""Evaluate bundles: metrics, cold start, reports and model cards."""
