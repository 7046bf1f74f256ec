"""What happened to each person, kept in SQL for people who look: scores, episodes, actions, and who needs a look."""
