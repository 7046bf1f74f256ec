"""The fusion agent: modalities of a memo are joined and scored against the user's own baseline."""
