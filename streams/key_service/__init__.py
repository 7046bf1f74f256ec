"""The key server: gives each role the keys of its purposes, out of the key directory that it alone reads."""
