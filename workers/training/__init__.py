"""Train bundles: fit heads, calibrate, select models, and pretrain the demonstration's encoder."""
