"""Commands that make trained bundles, judge them, and say what they accept."""
