"""The heavy hops: an uploaded memo becomes features, and features become a score."""
