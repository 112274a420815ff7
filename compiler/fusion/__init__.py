"""Which operations of a program one kernel computes."""
