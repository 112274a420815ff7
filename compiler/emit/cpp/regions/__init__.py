"""Regions of a program as kernels: loops over rows, without a recurrence."""
