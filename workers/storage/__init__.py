"""Reading objects by URI: local files, HTTP servers, and every storage that fsspec knows, each within bounds."""
