"""From a memo's audio object to a signal: storage, decoding, quality, windows."""
