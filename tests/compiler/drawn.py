"""What tests of the compiler draw besides graphs."""

from __future__ import annotations

from hypothesis import strategies as st

seeds = st.integers(0, 2**32 - 1)
lengths = st.integers(1, 4)
