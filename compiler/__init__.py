"""Checked programs to graphs, rewrites of graphs, graphs to source. Never imports torch."""

from __future__ import annotations
