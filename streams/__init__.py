"""Stream processors and processes: fusion, drift detection, alerts, roles and the command line."""
