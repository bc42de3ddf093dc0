"""Side-by-side measurements: jaxloss and its peers in one process, in turn."""
