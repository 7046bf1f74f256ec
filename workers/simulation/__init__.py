"""Simulated voices and users: what the demo and the shipped bundle are made from."""
