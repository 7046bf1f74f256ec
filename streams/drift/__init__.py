"""The drift agent: compares a user's scores with that user's own past and raises alerts."""
