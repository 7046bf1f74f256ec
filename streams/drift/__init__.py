"""The drift agent: a user's scores against that user's own past, and the alerts that follow."""
