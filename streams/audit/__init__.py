"""The audit trail: chained events, signed heads that are anchored outside, and what finds a change afterwards."""
