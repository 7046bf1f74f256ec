"""Score memos: heads, calibration, personal baselines, and the bundle that a trained model ships in."""
