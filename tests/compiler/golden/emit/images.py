"""images (images.nax), written by neuraxis after fold."""

import torch
import torch.nn.functional as F
from torch import nn


class Part(nn.Module):
    """Holds parameters, buffers and other parts under their names in the spec."""

    def __init__(self, **held):
        super().__init__()
        for name, value in held.items():
            if isinstance(value, nn.Module):
                self._modules[name] = value
            elif isinstance(value, nn.Parameter):
                self._parameters[name] = value
            else:
                self._buffers[name] = value

    def __getitem__(self, name):
        for held in (self._modules, self._parameters, self._buffers):
            if str(name) in held:
                return held[str(name)]
        raise KeyError(name)


def _weight(name):
    """An attribute of a part; found ten times as fast as by `nn.Module.__getattr__`."""
    return property(lambda self: self._parameters[name])


def _buffer(name):
    return property(lambda self: self._buffers[name])


def _part(name):
    return property(lambda self: self._modules[name])


class Affine(Part):
    w = _weight("w")
    b = _weight("b")


class Images(Part):
    """The model `images`."""

    x = _part("x")
    out = _part("out")

    def __init__(self):
        super().__init__(
            x=Affine(
                w=nn.Parameter(torch.empty(4, 3, 3, 3).normal_(0.0, 0.2721655269759087)),
                b=nn.Parameter(torch.zeros(4)),
            ),
            out=Affine(
                w=nn.Parameter(torch.empty(5, 4).normal_(0.0, 0.5).t()),
                b=nn.Parameter(torch.zeros(5)),
            ),
        )

    def forward(self, image):
        # x: convolution.nax:37
        x = F.conv2d(image, self.x.w, self.x.b, stride=2, padding=1)
        # act: activation.nax:9
        act = F.relu(x)
        pool = act.mean((2, 3))
        return F.linear(pool, self.out.w.t(), self.out.b)
