"""The whole system on one machine: embedded broker and store, journal, supervisor, demo, offline scoring."""
