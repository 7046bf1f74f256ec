"""The system as operators see it: counts without persons, and what they can do about dead letters."""
