"""What a command shares with the terminal that started it: interrupts, and what is read from its output."""
