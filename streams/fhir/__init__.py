"""Scores and episodes as FHIR R4 resources, which hospitals' systems read. Pure; nothing here needs a library."""
