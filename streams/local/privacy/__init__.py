"""What sealing and an erasure do on this machine."""
