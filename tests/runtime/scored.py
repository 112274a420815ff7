"""Models that are one contraction shaped like attention: scores changed in any way, any mask."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Mapping

CHANGES: Mapping[str, tuple[str, ...]] = {
    "{x} - slope * abs(t - s)": ("slope[h]",),
    "{x} + bias": ("bias[h, t, s]",),
    "3 * tanh({x} / 3)": (),
    "(1 + width ^ 2) * tanh({x} / (1 + width ^ 2))": ("width[]",),
    "{x} + late - early": ("late[b, h, t]", "early[h, s]"),
    "{x} + table[n = min(abs(t - s), |n| - 1)]": ("table[n, h]",),
    "{x} * sigmoid(late)": ("late[b, h, t]",),
    "where(t > s, {x}, 0.5 * {x})": (),
    "{x} + log_sigmoid(early) * float(s - t // 2)": ("early[h, s]",),
    "{x} + stop({x})": (),
    "{x} / sqrt(1.0 + t * t)": (),
    "{x} - log(1.0 + |s|)": (),
}
MASKS: Mapping[str, tuple[str, ...]] = {
    "s <= t": (),
    "t - s < 7 and s <= t": (),
    "abs(t - s) <= 9": (),
    "doc == seg": ("doc[b, t]: int", "seg[b, s]: int"),
    "s <= t and doc == seg": ("doc[b, t]: int", "seg[b, s]: int"),
    "seen": ("seen[t, s]: bool",),
    "s < length": ("length[b]: int",),
    "s // 4 <= t // 4": (),
    "(t - s) % 3 == 0": (),
    "not (s > t + 2 or s + 20 < t)": (),
    "s // 8 == t // 8 or s < 2": (),
    "2 * s <= 3 * t + 5": (),
    "max(s - t, 3) <= 10": (),
}
WEIGHTS = {
    "softmax": "softmax[s](where({mask}, {x}, -inf))",
    "sigmoid": "where({mask}, sigmoid({x}), 0)",
    "relu": "where({mask}, max({x}, 0) ^ 2, 0)",
    "relu_block": "where({mask}, relu({x}), 0)",
    "exp": "exp(where({mask}, 0.3 * {x}, -inf))",
}


@dataclass(frozen=True)
class Scored:
    """The text of a model called `drawn`, its run-time sizes, and how many results it has."""

    text: str
    sizes: Mapping[str, int] = field(hash=False)
    seed: int


@st.composite
def scored(draw: st.DrawFn) -> Scored:
    """A model and sizes."""
    changes = draw(st.lists(st.sampled_from(sorted(CHANGES)), max_size=2, unique=True))
    masks = draw(st.lists(st.sampled_from(sorted(MASKS)), max_size=1))
    kind = draw(st.sampled_from([*sorted(WEIGHTS), "softmax", "sink"]))
    shared = draw(st.booleans())
    more = [own for change in changes for own in CHANGES[change]]
    more += [own for mask in masks for own in MASKS[mask]]
    more += ["off[h]"] if kind == "sink" else []
    first = draw(st.sampled_from(["q[b, h, t, k]", "q[b, t, h, k]", "q[t, h, k, b]"]))
    pair = ["key[b, s, k]", "v[b, s, e]"] if shared else ["key[b, s, h, k]", "v[b, h, s, e]"]
    inputs = ", ".join(dict.fromkeys([first, *pair, *more]))
    score = "dot[k](q, key) * 0.4"
    for change in changes:
        score = change.format(x=f"({score})")
    mask = masks[0] if masks else "true"
    k, e = draw(st.sampled_from([1, 3, 16, 20])), draw(st.sampled_from([1, 5, 17]))
    lines = [f"    x = {score}"]
    if kind == "sink":
        lines += [
            f"    y = where({mask}, x, -inf)",
            "    w = softmax[s](y) * sigmoid(logsumexp[s](y) - off)",
        ]
    else:
        lines += ["    w = " + WEIGHTS[kind].format(mask=mask, x="x")]
    head = f"model drawn[h = 2, k = {k}, e = {e}, n = 6]({inputs}) -> [b, h, t, e]:"
    text = "\n".join([head, *lines, "    return dot[s](w, v)", ""])
    long = st.sampled_from([0, 1, 2, 33, 70])
    sizes = {"b": draw(st.sampled_from([1, 2])), "t": draw(long), "s": draw(long)}
    return Scored(text, sizes, draw(st.integers(0, 99)))
