"""Charts as Bokeh documents: laid out once for a language, filled for each person. Pure."""
