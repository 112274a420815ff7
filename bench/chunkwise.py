"""Linear recurrences as PyTorch users write them: products of matrices in chunks, and PyTorch's
associative scan. What kernels are compared with; the values agree (`python bench/chunkwise.py`).

Shapes: queries, keys [b, h, t, k], values [b, h, t, v], decays [b, h, t, k] or [b, h, t].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CHUNK = 64


def gated(q: torch.Tensor, key: torch.Tensor, val: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    """S = a * S + key * val; o = dot[k](q, S), a decay for each key. Decays of a chunk must not
    vanish together: they are divided by."""
    q, key, val, a = (_split(x) for x in (q, key, val, a))
    since = a.log().cumsum(-2)  # of all decays since the chunk began
    last = since[..., -1:, :]
    scores = (q * (since - last / 2).exp()) @ (key * (last / 2 - since).exp()).mT
    start = _starts((key * (last - since).exp()).mT @ val, last.exp().mT)
    return _joined(scores.tril() @ val + (q * since.exp()) @ start)


def retained(
    q: torch.Tensor, key: torch.Tensor, val: torch.Tensor, a: torch.Tensor
) -> torch.Tensor:
    """The same with one decay for each head, a[h]."""
    q, key, val = (_split(x) for x in (q, key, val))
    size = q.shape[-2]
    at = torch.arange(size, dtype=q.dtype)
    powers = a.log()[:, None] * (at + 1)
    between = (powers[:, :, None] - powers[:, None]).tril().exp().tril()[:, None]
    left = (powers[:, -1:] - powers).exp()[:, None, :, None]
    start = _starts(
        (key * left).mT @ val, (a**size)[:, None, None, None].expand(-1, q.shape[2], 1, 1)
    )
    return _joined((q @ key.mT * between) @ val + (q * powers.exp()[:, None, :, None]) @ start)


def corrected(
    q: torch.Tensor, key: torch.Tensor, val: torch.Tensor, beta: torch.Tensor, a: torch.Tensor
) -> torch.Tensor:
    """S = a * S; S = S + beta * key * (val - dot[k](key, S)); o = dot[k](q, S)."""
    q, key, val, beta, a = (_split(x) for x in (q, key, val, beta[..., None], a[..., None]))
    since = a.log().cumsum(-2)
    between = (since - since.mT).tril().exp().tril()
    system = torch.eye(q.shape[-2]) + (beta * (key @ key.mT) * between).tril(-1)
    right = torch.cat([beta * val, beta * since.exp() * key], -1)
    solved = torch.linalg.solve_triangular(system, right, upper=False, unitriangular=True)
    new, old = solved.split([val.shape[-1], key.shape[-1]], -1)
    scores, ahead = q @ key.mT * between, q * since.exp()
    left = key * (since[..., -1:, :] - since).exp()
    state = q.new_zeros(*q.shape[:2], q.shape[-1], val.shape[-1])
    found = []
    for at in range(q.shape[2]):
        change = new[:, :, at] - old[:, :, at] @ state
        found.append(scores[:, :, at] @ change + ahead[:, :, at] @ state)
        state = since[:, :, at, -1:].exp() * state + left[:, :, at].mT @ change
    return _joined(torch.stack(found, 2))


def associative(a: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """s = a * s + x along the second axis, by the associative scan of PyTorch."""
    from torch._higher_order_ops import associative_scan

    def after(one: Sequence[torch.Tensor], two: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        return one[0] * two[0], two[0] * one[1] + two[1]

    return associative_scan(after, (a, x), dim=1, combine_mode="generic")[1]


PEERS: dict[str, tuple[str, Callable[..., torch.Tensor]]] = {
    "gla": ("chunkwise", gated),
    "retention": ("chunkwise", retained),
    "gated_delta": ("chunkwise", corrected),
    "elementwise": ("associative_scan", associative),
}


def _split(x: torch.Tensor) -> torch.Tensor:
    return x.unflatten(2, (-1, min(CHUNK, x.shape[2])))


def _joined(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(2, 3)


def _starts(made: torch.Tensor, decay: torch.Tensor) -> torch.Tensor:
    """The state at the start of each chunk, from what each chunk makes and what it leaves."""
    state, found = torch.zeros_like(made[:, :, 0]), []
    for at in range(made.shape[2]):
        found.append(state)
        own = decay[:, at] if decay.dim() == 4 else decay[:, :, at]
        state = own * state + made[:, :, at]
    return torch.stack(found, 2)


if __name__ == "__main__":
    from recurrences import SPEC, data

    from neuraxis.runtime.program import Program

    program = Program.from_text(SPEC)
    for name, (_, peer) in PEERS.items():
        given = data(name, 256)
        wanted = program.model(name)(*given)
        print(name, float((peer(*given) - wanted).abs().max() / wanted.abs().max()))
