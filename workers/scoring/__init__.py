"""Heads, calibration, and the bundle that a trained model ships in."""
