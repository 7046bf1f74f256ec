"""Recovery of records: redrive of dead letters, resubmission after Redis lost its data."""
