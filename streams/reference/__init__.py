"""The reference of the command line, made from the commands themselves."""
