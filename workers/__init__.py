"""Feature workers and models: an uploaded memo becomes features, and features become a score."""
