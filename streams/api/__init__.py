"""The HTTP API of the dashboard: what a page or another system may ask for and do. Pages are in `streams/web`."""
