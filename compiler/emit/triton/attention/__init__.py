"""Contractions shaped like attention in Triton: a block of queries or of keys to a program."""
