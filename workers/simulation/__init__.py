"""Simulated voices and users, for the demo and the shipped bundle."""
