"""The Faust application under our own bookkeeping: reading, batching, committing, lag."""
