"""One file a production role: what its process consists of."""
