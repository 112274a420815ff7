"""recurrent (recurrent.nax), written by neuraxis after fold."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.compiler import is_compiling


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


class SideBySide:
    """Weights of several linear maps of one value, and their biases, put one after another in memory.

    Each stays a parameter of its own. Called with the parts that hold them, gives all weights as one
    matrix and all biases as one vector: without a copy, unless somebody has moved them since.
    """

    def __init__(self, *parts, names="w b", inputs=1):
        every = [names] * len(parts) if isinstance(names, str) else names
        self.parts, self.names = parts, [own.split() for own in every]
        self.inputs = (inputs, 0)[: len(self.names[0])]  # how many axes in front are summed over
        self.held = [(p._parameters, n) for p, own in zip(parts, self.names) for n in own]
        self.at = []
        if not self.held[0][0][self.held[0][1]].is_meta:
            kinds = zip(self.inputs, self.kinds(parts))
            self.wholes = [laid_out(own, n) for n, own in kinds]
            self.at = [held[name].data_ptr() for held, name in self.held]

    def kinds(self, parts):
        """All weights, all biases."""
        return zip(*([part[name] for name in own] for part, own in zip(parts, self.names)))

    def __call__(self, *parts):
        if is_compiling() or parts != self.parts or not self.lie_so():
            kinds = zip(self.inputs, self.kinds(parts))
            return [torch.cat([rows(held, n) for held in own]) for n, own in kinds]
        if not torch.is_grad_enabled():
            return self.wholes
        kinds = zip(self.wholes, self.inputs, self.kinds(parts))
        return [Joined.apply(whole, n, *own) for whole, n, own in kinds]

    def lie_so(self):
        try:
            return self.at == [held[name].data_ptr() for held, name in self.held]
        except RuntimeError:  # tensors of a function transform have no memory of their own
            return False

    def __reduce__(self):
        return object, ()  # a copy of a module lays out its own parameters


def laid_out(parts, inputs):
    """Parameters moved into one piece of memory; that piece, as a matrix or a vector."""
    blocks = [rows(part.detach(), inputs) for part in parts]
    if in_one_piece(parts, blocks):
        length = sum(len(block) for block in blocks)
        return blocks[0].as_strided((length, *blocks[0].shape[1:]), blocks[0].stride())
    whole = torch.cat(blocks)
    for part, block in zip(parts, whole.split([len(block) for block in blocks])):
        part.data = from_rows(block, part.shape, inputs)
    return whole


def in_one_piece(parts, blocks):
    storage = blocks[0].untyped_storage().data_ptr()
    end = blocks[0].data_ptr()
    for part, block in zip(parts, blocks):
        if not part.data_ptr() == block.data_ptr() == end:
            return False
        if block.untyped_storage().data_ptr() != storage or not block.is_contiguous():
            return False
        end += block.nbytes
    return True


class Joined(torch.autograd.Function):
    """One tensor in place of its parts; its gradient is theirs."""

    @staticmethod
    def forward(whole, inputs, *parts):
        return whole.view_as(whole)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, ctx.inputs, *parts = inputs
        ctx.shapes = [part.shape for part in parts]

    @staticmethod
    def backward(ctx, grad):
        blocks = grad.contiguous().split([shape[ctx.inputs :].numel() for shape in ctx.shapes])
        parts = [from_rows(b, shape, ctx.inputs) for b, shape in zip(blocks, ctx.shapes)]
        return None, None, *parts

    @staticmethod
    def jvp(ctx, whole, inputs, *parts):
        return torch.cat([rows(part, ctx.inputs) for part in parts])


def rows(part, inputs):
    """A parameter [in..., out...] as [all out, all in]; one without inputs as a vector."""
    if not inputs:
        return part.flatten()
    back = part.movedim(tuple(range(inputs)), tuple(range(-inputs, 0)))
    return back.flatten(-inputs).flatten(0, -2)


def from_rows(block, shape, inputs):
    """The same the other way round, as a view."""
    block = block.view(*shape[inputs:], *shape[:inputs])
    return block.movedim(tuple(range(-inputs, 0)), tuple(range(inputs)))


class Affine(Part):
    w = _weight("w")
    b = _weight("b")


class Recurrent(Part):
    """The model `recurrent`."""

    calls = _buffer("calls")
    linear = _part("linear")

    def __init__(self):
        super().__init__(
            calls=torch.zeros(4),
            linear=Affine(
                w=nn.Parameter(torch.empty(3, 4).normal_(0.0, 0.5773502691896258)),
                b=nn.Parameter(torch.zeros(4)),
                **{
                    "2": Affine(
                        w=nn.Parameter(torch.empty(4, 4).normal_(0.0, 0.5)),
                        b=nn.Parameter(torch.zeros(4)),
                    ),
                    "3": Affine(
                        w=nn.Parameter(torch.empty(3, 4).normal_(0.0, 0.5773502691896258)),
                        b=nn.Parameter(torch.zeros(4)),
                    ),
                    "4": Affine(
                        w=nn.Parameter(torch.empty(4, 4).normal_(0.0, 0.5)),
                        b=nn.Parameter(torch.zeros(4)),
                    ),
                    "5": Affine(
                        w=nn.Parameter(torch.empty(3, 4).normal_(0.0, 0.5773502691896258)),
                        b=nn.Parameter(torch.zeros(4)),
                    ),
                },
            ),
        )
        self.lay_out()

    def lay_out(self):
        self._beside = SideBySide(self.linear, self.linear[3], self.linear[5])

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        self.lay_out()
        return self

    def __setstate__(self, state):
        super().__setstate__(state)
        self.lay_out()

    def forward(self, x):
        b, t, _ = x.shape
        # linear: linear.nax:9
        linear, linear_3, linear_5 = F.linear(
            x, *self._beside(self.linear, self.linear[3], self.linear[5])
        ).chunk(3, -1)
        y = torch.zeros(b, 4, dtype=x.dtype, device=x.device)
        y_steps = []
        matrix = torch.cat((self.linear[2].w.t(), self.linear[4].w.t()))
        bias = torch.cat((self.linear[2].b, self.linear[4].b))
        for linear_t, linear_3_t, linear_5_t in zip(
            linear.unbind(1), linear_3.unbind(1), linear_5.unbind(1)
        ):
            linear_2, linear_4 = F.linear(y, matrix, bias).chunk(2, -1)
            r = torch.sigmoid(linear_t + linear_2)
            u = torch.sigmoid(linear_3_t + linear_4)
            y = (1 - u) * torch.tanh(linear_5_t + r * y) + u * y
            y_steps.append(y)
        y_2 = torch.stack(y_steps, 1) if y_steps else torch.zeros(b, t, 4, dtype=x.dtype, device=x.device)
        add = self.calls + 1
        out = y_2 + add
        self.calls = add.detach()
        return out
