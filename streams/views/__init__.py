"""What an operator sees of memos and users: scores, outcomes, one user's state, and plots of them."""
