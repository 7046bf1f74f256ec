"""One file per production role: what its process consists of."""
