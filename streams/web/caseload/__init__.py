"""The page of everybody followed, those who need a look first."""
