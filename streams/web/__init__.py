"""Pages that clinicians and operators look at: server-rendered, in German and English, live where JavaScript runs."""
