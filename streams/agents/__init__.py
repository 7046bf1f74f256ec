"""The Faust application with its own consumer: reading, batching, committing, lag."""
