"""Bringing records back: redrive of dead letters, resubmission after Redis lost its data."""
