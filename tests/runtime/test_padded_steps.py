"""Steps behind an example's end: whatever stands there, neither values nor gradients see it."""

from __future__ import annotations

import pytest
import torch

from neuraxis.runtime.program import Program

CELLS = {
    "gla[h = 2, k = 4, v = 4]": "d",
    "gated_delta[h = 2, k = 4, v = 4]": "d",
    "mingru[n = 6]": "n",
    "gru[n = 6]": "n",
}
LENGTHS = [100, 50, 3]


@pytest.mark.parametrize("compiler", ["", "none"])
@pytest.mark.parametrize("cell", CELLS)
def test_what_is_no_number_behind_the_end_is_not_seen(
    cell: str, compiler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As kernels, and in parallel forms of PyTorch, whose decays would carry it on."""
    if compiler:
        monkeypatch.setenv("NEURAXIS_CXX", compiler)
    text = f"model m[d = 6](x[b, t of b, d]) -> [b, t, {CELLS[cell]}]:\n    return {cell}(x)\n"
    model = Program.from_text(text).model()
    x = torch.randn(3, max(LENGTHS), 6, generator=torch.Generator().manual_seed(0))
    for row, length in zip(x, LENGTHS, strict=True):
        row[length:] = torch.nan
    x.requires_grad_()
    found = model(x, lengths=LENGTHS)
    ends = list(enumerate(LENGTHS))
    alone = [model(x[at : at + 1, :end].detach())[0] for at, end in ends]
    for (at, end), wanted in zip(ends, alone, strict=True):
        torch.testing.assert_close(found[at, :end], wanted)
    sum(found[at, :end].sum() for at, end in ends).backward()  # type: ignore[union-attr]
    assert x.grad is not None
    assert all(x.grad[at, :end].isfinite().all() for at, end in ends)
