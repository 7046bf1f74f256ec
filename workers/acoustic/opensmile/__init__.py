"""What of openSMILE's configuration runs, and how its sinks hand over rows."""
