"""Running what was compiled: modules, data, training, results. The one layer that imports torch."""
