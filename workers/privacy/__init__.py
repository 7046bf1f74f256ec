"""Keys of people, and what is sealed with them: key services, key directory, keyring, envelope."""
