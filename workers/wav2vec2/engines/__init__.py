"""What computes the encoder: one contract, and an implementation for each runtime."""
