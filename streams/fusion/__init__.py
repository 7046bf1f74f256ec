"""The fusion agent: joins the modalities of a memo and scores it against the user's own baseline."""
