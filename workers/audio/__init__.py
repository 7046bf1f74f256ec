"""Read a memo's audio object into a signal: storage, decoding, quality, windows."""
