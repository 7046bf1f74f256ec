"""The consumer loop of a feature worker: fetch, load, process, deliver, commit."""
