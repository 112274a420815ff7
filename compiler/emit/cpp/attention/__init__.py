"""Contractions shaped like attention as C++: blocks of queries by blocks of keys."""
