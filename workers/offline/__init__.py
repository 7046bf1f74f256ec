"""The feature stages and the scorer for files and arrays at hand: no broker and no store."""
