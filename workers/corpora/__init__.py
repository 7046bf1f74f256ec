"""Labelled recordings: manifests, feature caches and leakage checks."""
