"""Why an alert was raised: the last memos of a person, the markers that moved over an episode, and one sentence."""
