"""The pages on which somebody tries the system with a voice: send a memo, follow it, see what became of it."""
