"""Labelled recordings: manifests, feature caches, leakage checks."""
