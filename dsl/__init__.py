"""Reading specs: text to a checked program. Imports neither torch nor networkx."""
