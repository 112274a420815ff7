"""What is drawn at the start and never trained holds what its distribution gives."""

from __future__ import annotations

import torch

from neuraxis.runtime.program import Program
from neuraxis.testing import check_lowering, check_types

TEXT = """
model m[d = 6](x[b, d]) -> [b, d], [d]:
    fixed at[d] ~ integers(0, 6)
    fixed on[d] ~ bernoulli(0.5)
    fixed scale[d] ~ normal(1, 0.1)
    return where(on, scale * x[d = at], 0), at
"""


def test_ints_pick_and_bools_choose() -> None:
    program = Program.from_text(TEXT)
    model = program.model()
    check_lowering(program)
    check_types(program)
    x = torch.randn(3, 6)
    found, at = model(x)
    assert at.dtype == torch.int64
    kept = model.state_dict()
    on, scale = kept["on"].bool(), kept["scale"]
    torch.testing.assert_close(found, torch.where(on, scale * x[:, at], 0))
    assert len(set(at.tolist())) > 1
    assert 0 < int(on.sum()) < 6
