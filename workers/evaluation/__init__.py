"""How good a bundle is: metrics, cold start, reports, model cards."""
