"""recurrent (recurrent.nax), written by neuraxis after fold."""

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


def weight(name):
    """An attribute of a part; found ten times as fast as by `nn.Module.__getattr__`."""
    return property(lambda self: self._parameters[name])


def buffer(name):
    return property(lambda self: self._buffers[name])


def part(name):
    return property(lambda self: self._modules[name])


class SideBySide:
    """Parameters [in..., out...] put one after another in memory, each as [all out, all in].

    Each stays a parameter of its own. Called with them, gives the one matrix that they are, or the
    one vector if they have no inputs: without a copy, unless somebody has moved them since.
    """

    def __init__(self, *parts, inputs=1):
        self.inputs = inputs
        self.at = []
        if parts[0].is_meta:  # there is no memory to lay out
            return
        blocks = [rows(part.detach(), inputs) for part in parts]
        if self.lie_so_already(parts, blocks):
            rows_in_all = sum(len(block) for block in blocks)
            self.whole = blocks[0].as_strided(
                (rows_in_all, *blocks[0].shape[1:]), blocks[0].stride()
            )
        else:
            self.whole = torch.cat(blocks)
            for part, block in zip(parts, self.whole.split([len(block) for block in blocks])):
                part.data = from_rows(block, part.shape, inputs)
        self.at = [part.data_ptr() for part in parts]

    @staticmethod
    def lie_so_already(parts, blocks):
        storage = blocks[0].untyped_storage().data_ptr()
        end = blocks[0].data_ptr()
        for part, block in zip(parts, blocks):
            if not part.data_ptr() == block.data_ptr() == end:
                return False
            if block.untyped_storage().data_ptr() != storage or not block.is_contiguous():
                return False
            end += block.nbytes
        return True

    def __call__(self, *parts):
        if not torch.compiler.is_compiling():
            if [part.data_ptr() for part in parts if type(part) is nn.Parameter] == self.at:
                if torch.is_grad_enabled():
                    return Joined.apply(self.whole, self.inputs, *parts)
                return self.whole
        return torch.cat([rows(part, self.inputs) for part in parts])


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
    w = weight("w")
    b = weight("b")


class Recurrent(Part):
    """The model `recurrent`."""

    calls = buffer("calls")
    linear = part("linear")

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
        self._w = SideBySide(self.linear.w, self.linear[3].w, self.linear[5].w)
        self._b = SideBySide(self.linear.b, self.linear[3].b, self.linear[5].b, inputs=0)

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        self.lay_out()
        return self

    def __setstate__(self, state):
        super().__setstate__(state)
        self.lay_out()

    def forward(self, x):
        b = x.shape[0]
        # linear: linear.nax:9
        linear, linear_3, linear_5 = F.linear(
            x,
            self._w(self.linear.w, self.linear[3].w, self.linear[5].w),
            self._b(self.linear.b, self.linear[3].b, self.linear[5].b),
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
        y_2 = torch.stack(y_steps, 1)
        add = self.calls + 1
        out = y_2 + add
        self.calls = add.detach()
        return out
