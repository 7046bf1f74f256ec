"""Commands for keys, erasure, and the audit trail."""
