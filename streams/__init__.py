"""The light hops: features join into a score, scores drift, drift alerts; and the way as a whole."""
