"""What every process shows the platform that runs it: health, metrics, logs, traces."""
