"""What a sweep takes: what code holds is found without running it, and parts keep to the budget."""

from __future__ import annotations

import weakref
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
import torch
from rich.console import Console
from torch.utils._python_dispatch import TorchDispatchMode

from neuraxis.compiler.sweeps import Packed
from neuraxis.runtime.program import Program
from neuraxis.runtime.sweeps import Sweep, run
from neuraxis.runtime.sweeps.members import Running
from neuraxis.runtime.sweeps.needs import Needs
from neuraxis.runtime.sweeps.progress import Lines
from neuraxis.runtime.sweeps.work import Work

if TYPE_CHECKING:
    from neuraxis.compiler.graph import Graph
    from neuraxis.runtime.lowering import Lowered

HEAD = """
data words = repeats(n = 3, t = {t}, vocab = 8, held = 0)

block memory(x[t, d]) -> [t, d]:
    scan t:
        carry y[d] = 0
        y = 0.5 * y + tanh(x)
    return y

model small[d = 8, vocab = 8, ctx = 64](tokens[b, t]: int, L = 3, mixer: block = {mixer}) -> [b, t, vocab]:
    param wte[vocab, d] ~ normal(0, 1)
    param wpe[ctx, d] ~ normal(0, 1)
    x = wte[vocab = tokens] + wpe[ctx = t]
    repeat layer * L:
        attn = mixer(layernorm[d](x))
        mid = x + attn
        x = mid + mlp[m = 32](layernorm[d](mid))
    logits = dot[d](x, wte)
    return logits

experiment e of small on words:
    run clean = small
    run other = small(tokens = (words.tokens + 1) % 8)
    measure size(r) = mean[b](r.logits[t = -1, vocab = 1])
    sweep effect over l in layer, p in t:
        run patched = other with layer[l].x[t = p] from clean
        size(patched) - size(other)
"""
ATTENTION = "causal_attention[h = 2, k = 4]"
MIXERS = {"attention": ATTENTION, "pattern": "attention[h = 2, k = 4]", "recurrence": "memory"}


def small(mixer: str = "attention", t: int = 6) -> str:
    return HEAD.replace("{t}", str(t)).replace("{mixer}", MIXERS[mixer])


def work(text: str, memory: int = 1 << 40) -> Work:
    program = Program.from_text(text)
    study = program.checked.experiments["e"]
    given = program.library.given(study)
    sweep = Sweep.of(study, study.sweeps[0], given.sizes)
    assert study.model is not None
    shared = program.model(study.model.name)
    return Work(sweep, given.inputs, given.sizes, shared, seed=0, memory=memory)


class Held(TorchDispatchMode):
    """Counts the memory of the tensors that operations really make."""

    def __init__(self, given: list[torch.Tensor]) -> None:
        super().__init__()
        self.now = self.most = 0
        self.known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()
        self.known.update(tensor.untyped_storage() for tensor in given)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for value in made if isinstance(made, tuple | list) else (made,):
            if isinstance(value, torch.Tensor) and value.untyped_storage() not in self.known:
                storage = value.untyped_storage()
                self.known.add(storage)
                self.now += storage.nbytes()
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self.gone, storage.nbytes())
        return made

    def gone(self, size: int) -> None:
        self.now -= size


def held(of: Work, box: Any) -> int:
    """Bytes of the tensors that are made for a part and held at the most."""
    given = [*of.inputs.values(), *of.shared.parameters(), *of._known.values()]
    of.part(box)  # what is laid out in memory at the first call
    with Held(given) as counted:
        of.part(box)
    return counted.most


@pytest.mark.parametrize("mixer", MIXERS)
def test_code_is_tried_without_numbers(mixer: str) -> None:
    whole = work(small(mixer))
    (box,) = whole.boxes
    needs, known = whole._whole, whole._sizes(box)
    assert needs.peak(known) == held(whole, box)
    assert needs.peak(known) <= needs.margin * needs.footprint.peak(known)


@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize("share", [0.6, 0.4])
def test_parts_keep_to_the_budget(mixer: str, share: float) -> None:
    whole = work(small(mixer, t=8))
    most = held(whole, whole.boxes[0])
    parts = work(small(mixer, t=8), int(share * most))
    assert len(parts.boxes) > 1
    beside = sum(value.untyped_storage().nbytes() for value in parts._known.values())
    taken = [held(parts, box) + beside for box in parts.boxes]
    assert max(taken) <= parts.memory
    assert max(taken) > 0.6 * parts.memory  # and make use of it


def test_no_part_computes_the_run_without_writes_again() -> None:
    whole = work(small(t=8))
    parts = work(small(t=8), held(whole, whole.boxes[0]) // 3)
    for box in parts.boxes:
        parts.part(box)
        packed = parts.sweep.packed(
            parts.sweep.chosen(parts.inputs, box), parts.known, parts.packed
        )
        assert isinstance(packed, Packed)
        own = parts._apart(packed.graph, packed).within(packed.graph)
        assert len(own) <= len(parts._part.graph)
    assert len(parts._known) == len(parts._held.names)


def test_a_member_that_is_too_large_is_said() -> None:
    tight = work(small(t=2), 2000)
    said = StringIO()
    found = run(
        tight.sweep,
        tight.inputs,
        tight.known,
        tight.shared,
        how=Running(memory=tight.memory, progress=Lines(Console(file=said))),
    )
    assert found.how[-1].startswith("a member by itself takes ")
    assert found.how[-1] in said.getvalue()
    assert tight.excess > tight.memory
    whole = work(small(t=2))
    torch.testing.assert_close(found.values, whole.part(whole.boxes[0]))


PACKED = """
data words = repeats(n = 3, t = 4, vocab = 8, held = 0)

model m[d = 4, vocab = 8](tokens[b, t]: int, L = 2) -> [b, d]:
    param wte[vocab, d] ~ normal(0, 1)
    x = wte[vocab = tokens]
    repeat layer * L:
        x = x + tanh(linear[d -> d](x))
    kept = pack[t -> s](x, tokens > 3)
    return sum[s](kept * kept)

experiment e of m on words:
    run clean = m
    sweep effect over i in 0..20:
        run pushed = clean with layer[1].x *= 0.1 * i
        mean[b, d](pushed.out)
"""


def test_how_many_are_packed_is_no_matter() -> None:
    whole = work(PACKED)
    (box,) = whole.boxes
    most = held(whole, box)
    assert whole._whole.peak(whole._sizes(box)) >= most
    parts = work(PACKED, most // 2)
    assert len(parts.boxes) > 1
    assert max(held(parts, part) for part in parts.boxes) <= parts.memory


def test_what_cannot_be_tried_is_estimated() -> None:
    def lower(graph: Graph) -> Lowered:
        raise RuntimeError("it looks at numbers")

    whole = work(small())
    known = whole._sizes(whole.boxes[0])
    estimated = Needs(whole._graph, lower).peak(known)
    assert estimated >= whole._whole.peak(known)
