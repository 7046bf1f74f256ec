"""Files that hold data of a person, sealed."""
