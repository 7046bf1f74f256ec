"""Acoustic features: openSMILE functionals and the markers of acoustic heaviness."""
