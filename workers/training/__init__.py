"""Corpora and the voice simulator; fitting and evaluating."""
