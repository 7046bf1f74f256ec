"""openSMILE features and the markers of acoustic heaviness."""
