"""Where the keys of a process come from: the key directory, or a key server that has one."""
