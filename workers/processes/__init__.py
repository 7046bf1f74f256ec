"""Child processes that compute for this one: each may crash or be ended at the cost of its own task."""
