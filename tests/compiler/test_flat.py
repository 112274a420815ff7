"""A step as one function: which calls are written out, and what is bound before it."""

from __future__ import annotations

import torch
from torch import nn

from neuraxis.compiler.emit.flat import flat

LAYER = '''
class Layer(nn.Module):
    def forward(self, x, past):
        """What a layer does."""
        w = self.w.t()
        mid = F.linear(x, w) + past
        del past
        return mid, self.half(mid)

    def half(self, x):
        x = x * 0.5
        return x

class Net(nn.Module):
    def forward(self, x, past, past_2):
        kept = []
        for layer, own in zip(self.layer, (past, past_2)):
            mid, x = layer(x, own)
            kept.append(mid)
        return {}
'''


def both(source: str, layers: int = 2) -> tuple[nn.Module, str, object]:
    """The model, its flat text, and the step that the text defines."""
    space: dict[str, object] = {"nn": nn, "torch": torch, "F": nn.functional}
    exec(source, space)
    model = space["Net"]()  # type: ignore[operator]
    made = [space["Layer"]() for _ in range(layers)]  # type: ignore[operator]
    model.layer = nn.ModuleList(made)
    for place, layer in enumerate(made):
        layer.w = nn.Parameter(torch.arange(6.0).reshape(2, 3)[:, :2] + place)
    classes = {path: type(own).__name__ for path, own in model.named_modules() if path}
    text = flat(source, "Net", classes)
    assert text is not None
    exec(text, space)
    with torch.no_grad():
        return model, text, space["bound"](model, torch.device("cpu"))[0]  # type: ignore[operator]


def alike(source: str) -> str:
    """The text, once it is seen that the flat step is the model."""
    model, text, step = both(source)
    given = torch.ones(1, 2), torch.full((1, 2), 3.0), torch.zeros(1, 2)
    for found, wanted in zip(step(*given), model(*given), strict=True):  # type: ignore[operator]
        torch.testing.assert_close(found, wanted.detach())
    for found, wanted in zip(step(*given), model(*given), strict=True):  # type: ignore[operator]
        torch.testing.assert_close(found, wanted.detach())  # nothing that is bound has changed
    return text


def test_calls_are_written_out_and_weights_are_bound() -> None:
    text = alike(LAYER.format("x, kept[0], mid"))
    bound, step = text.split("def step")
    assert bound.count(".w.t()") == 2
    assert "self" not in step
    assert "for " not in step


def test_a_loop_that_runs_as_often_as_data_say_stays() -> None:
    body = "x, kept[0], mid"
    loop = (
        "        for at in range(len(kept)):\n            x = x + kept[at] * self.layer[0].w[0]\n"
    )
    text = alike(LAYER.replace("        return {}", f"{loop}        return {body}"))
    assert "for at in range(len(kept))" in text


def test_what_is_changed_in_place_is_made_at_each_step() -> None:
    lines = (
        "        own = self.layer[0].w.clone()\n        own[0] = x[0]\n"
        "        more = self.layer[1].w.clone().add_(x)\n"
        "        for at in range(len(kept)):\n"
        "            last = self.layer[1].w.exp()\n            last += 1.0\n"
    )
    alike(LAYER.replace("        return {}", f"{lines}        return own, more, last"))


def test_a_variable_of_a_loop_may_be_assigned_and_read_after_it() -> None:
    lines = (
        "        for part in (x, past):\n            x = x + part\n"
        "        for i in range(2):\n            past = past + i\n            i = past * 2\n"
        "        y = i if self.layer[0].w is None else x\n"
    )
    alike(LAYER.replace("        return {}", f"{lines}        return x, past, y"))


def test_what_has_no_one_end_is_called() -> None:
    early = LAYER.replace(
        "        x = x * 0.5\n",
        "        if len(x) > 5:\n            return x\n        x = x * 0.5\n",
    )
    assert "layer_half(mid" in alike(early.format("x, kept[0], mid"))
    none = "class Net:\n    def forward(self, x):\n        return (lambda y: y)(x)\n"
    assert flat(none, "Net", {}) is None


SIDE = """
class Layer(nn.Module):
    def forward(self, x):
        one = F.linear(x, self.w.t())
        other = torch.relu(F.linear(x, self.w))
        x = one + other
        return x, F.linear(x, self.w) if len(x) else x

class Net(nn.Module):
    def forward(self, x, past, past_2):
        for layer in self.layer:
            x, more = layer(x)
        return x, more
"""


def test_maps_of_one_value_are_one_product() -> None:
    model, _, _ = both(SIDE)
    classes = {path: type(own).__name__ for path, own in model.named_modules() if path}
    text = flat(SIDE, "Net", classes, join=True)
    assert text is not None
    assert text.count("torch.cat((") == 2  # one for each layer; not with what may not be run
    step = text.split("def step")[1]
    assert step.count("F.linear(") == 2 + 2
    space: dict[str, object] = {"nn": nn, "torch": torch, "F": nn.functional}
    exec(text, space)
    x = torch.randn(3, 2)
    with torch.no_grad():
        made, _ = space["bound"](model, torch.device("cpu"))  # type: ignore[operator]
        for found, wanted in zip(made(x, 0, 0), model(x, 0, 0), strict=True):
            torch.testing.assert_close(found, wanted)


def test_what_nothing_reads_any_more_is_let_go() -> None:
    text = alike(LAYER.format("x, kept[0], mid"))
    assert "        del " in text.split("def step")[1]
