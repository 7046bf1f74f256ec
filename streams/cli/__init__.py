"""The `undertone` command."""
