"""Recurrences as they are written, with the kinds of their groups."""

from __future__ import annotations

from dataclasses import dataclass

from neuraxis.compiler.recurrences.classify import Kind

E, L, A, S, N = Kind.ELEMENTWISE, Kind.LOW_RANK, Kind.AFFINE, Kind.SEPARATE, Kind.NONLINEAR


@dataclass(frozen=True)
class Cell:
    """A model whose body is one scan: its inputs, the lines of the scan, what it returns."""

    inputs: str
    lines: str
    results: str
    types: str
    kinds: tuple[Kind, ...]
    head: str = "scan t"

    @property
    def text(self) -> str:
        """The spec."""
        lines = "".join(f"        {line.strip()}\n" for line in self.lines.split(";"))
        return (
            f"model m[d = 3, e = 3, k = 3, v = 2, h = 2, n = 4]({self.inputs}) -> {self.types}:\n"
            f"    {self.head}:\n{lines}"
            f"    return {self.results}\n"
        )


KEYED = "q[b, t, k], key[b, t, k], val[b, t, v]"
VECTOR = "[b, t, d], [b, d]"
MATRIX = "[b, t, v], [b, k, v]"

CELLS: dict[str, Cell] = {
    "sum": Cell("x[b, t, d]", "carry S[d] = 0; S = S + x", "S, S[t = -1]", VECTOR, (E,)),
    "average": Cell(
        "x[b, t, d]", "carry S[d] = 0; S = 0.9 * S + 0.1 * x", "S, S[t = -1]", VECTOR, (E,)
    ),
    "reversed": Cell(
        "x[b, t, d], a[b, t, d]",
        "carry S[d] = 0; S = tanh(a) * S + x",
        "S, S[t = 0]",
        VECTOR,
        (E,),
        head="scan t reversed",
    ),
    "reset": Cell(
        "x[b, t, d], stop[b, t]: bool",
        "carry S[d] = 1; kept = where(stop, 0, S); S = 0.5 * kept + x",
        "S, S[t = -1]",
        VECTOR,
        (E,),
    ),
    "masked": Cell(
        "x[b, t, d], real[b, t]: bool",
        "carry S[d] = 0; S = where(real, 0.5 * S + x, S)",
        "S, S[t = -1]",
        VECTOR,
        (E,),
    ),
    "before": Cell(
        "x[b, t, d]",
        "carry S[d] = 2; S = 0.5 * S + x; y = S * prev(S)",
        "y, S[t = -1]",
        VECTOR,
        (E,),
    ),
    "mingru": Cell(
        "x[b, t, d], z[b, t, d]",
        "carry y[d] = 0; y = (1 - sigmoid(z)) * y + sigmoid(z) * x",
        "y, y[t = -1]",
        VECTOR,
        (E,),
    ),
    "rotation": Cell(
        "x[b, t, d], w[b, t, d]",
        "carry re[d], im[d] = 0; c = 0.9 * cos(w); s = 0.9 * sin(w);"
        "re = c * re - s * im + x; im = s * prev(re) + c * im",
        "re + im, re[t = -1]",
        VECTOR,
        (E,),
    ),
    "s6": Cell(
        "x[b, t, d], step[b, t, d], B[b, t, n], C[b, t, n], A[d, n]",
        "carry S[d, n] = 0; S = exp(-abs(step * A)) * S + step * B * x; y = dot[n](C, S) + x",
        "y, S[t = -1]",
        "[b, t, d], [b, d, n]",
        (E,),
    ),
    "linear attention": Cell(
        KEYED,
        "carry S[k, v] = 0; carry mass[k] = 0; S = S + abs(key) * val; mass = mass + abs(key);"
        "z = dot[k](abs(q), S) / (dot[k](abs(q), mass) + 1)",
        "z, S[t = -1]",
        MATRIX,
        (E, E),
    ),
    "retention": Cell(
        KEYED, "carry S[k, v] = 0; S = 0.9 * S + key * val; z = dot[k](q, S)", "z, S[t = -1]",
        MATRIX, (E,),
    ),
    "gla": Cell(
        KEYED + ", a[b, t, k]",
        "carry S[k, v] = 0; S = sigmoid(a) * S + key * val; z = dot[k](q, S)",
        "z, S[t = -1]",
        MATRIX,
        (E,),
    ),
    "ssd": Cell(
        KEYED + ", a[b, t], start[k, v]",
        "carry S[k, v] = start; S = exp(-abs(a)) * S + key * val; z = dot[k](q, S) + val",
        "z, S[t = -1]",
        MATRIX,
        (E,),
    ),
    "delta": Cell(
        KEYED + ", beta[b, t]",
        "carry S[k, v] = 0; old = dot[k](key, S) / 9;"
        "S = S + sigmoid(beta) * key * (val - old); z = dot[k](q, S)",
        "z, S[t = -1]",
        MATRIX,
        (L,),
    ),
    "gated delta": Cell(
        KEYED + ", beta[b, t], a[b, t]",
        "carry S[k, v] = 0; kept = sigmoid(a) * S;"
        "S = kept + 0.1 * sigmoid(beta) * key * (val - dot[k](key, kept)); z = dot[k](q, S)",
        "z, S[t = -1]",
        MATRIX,
        (L,),
    ),
    "generalised delta": Cell(
        KEYED + ", l[b, t, k], r[b, t, k], a[b, t, k]",
        "carry S[k, v] = 0; S = sigmoid(a) * S + 0.1 * l * dot[k](r, S) + key * val;"
        "z = dot[k](q, S)",
        "z, S[t = -1]",
        MATRIX,
        (L,),
    ),
    "delta, repeated along an axis": Cell(
        KEYED,
        "carry S[k, v] = 0; old = dot[k](key, S); wide = where(k >= 0, old, old);"
        "S = S + 0.1 * key * (val - wide); z = dot[k](q, S)",
        "z, S[t = -1]",
        MATRIX,
        (L,),
    ),
    "two householders": Cell(
        KEYED + ", l[b, t, k]",
        "carry S[k, v] = 0; half = S + 0.1 * key * (val - dot[k](key, S));"
        "S = half - 0.1 * l * dot[k](l, half); z = dot[k](q, S)",
        "z, S[t = -1]",
        MATRIX,
        (L,),
    ),
    "few": Cell(
        KEYED + ", l[b, t, k, h], r[b, t, k, h]",
        "carry S[k, v] = 0; S = 0.9 * S + 0.1 * dot[h](l, dot[k](r, S)) + key * val;"
        "z = dot[k](q, S)",
        "z, S[t = -1]",
        MATRIX,
        (L,),
    ),
    "delta, all of it": Cell(
        KEYED,
        "carry S[k, v] = 0; S = 0.9 * S + 0.1 * key * (val - dot[k](key, S))",
        "S, S[t = -1]",
        "[b, t, k, v], [b, k, v]",
        (L,),
    ),
    "delta, read over more": Cell(
        KEYED,
        "carry S[k, v] = 0; S = S + 0.1 * key * (val - dot[k](key, S)); y = sum[k, v](q * S)",
        "y, S[t = -1]",
        "[b, t], [b, k, v]",
        (L,),
    ),
    "momentum": Cell(
        KEYED + ", a[b, t]",
        "carry S[k, v], M[k, v] = 0;"
        "M = 0.5 * M + 0.1 * key * (val - dot[k](key, S)); S = sigmoid(a) * S + M;"
        "z = dot[k](q, S)",
        "z, S[t = -1]",
        MATRIX,
        (L,),
    ),
    "momentum, all of it": Cell(
        KEYED + ", a[b, t, k], slow[b, t]",
        "carry S[k, v] = 1; carry M[k, v] = 0;"
        "M = sigmoid(slow) * M - 0.1 * key * (dot[k](key, S) - val);"
        "S = sigmoid(a) * S + M",
        "S + M, S[t = -1]",
        "[b, t, k, v], [b, k, v]",
        (L,),
    ),
    "two memories": Cell(
        KEYED + ", a[b, t, k]",
        "carry S[k, v], M[k, v] = 0;"
        "S = sigmoid(a) * S + 0.1 * key * dot[k](q, M) + key * val;"
        "M = 0.5 * M - 0.1 * q * dot[k](key, prev(S)) + 0.1 * prev(S); z = dot[k](q, S - M)",
        "z, M[t = 0]",
        MATRIX,
        (L,),
        head="scan t reversed",
    ),
    "momentum of what comes in": Cell(
        KEYED,
        "carry S[k, v], M[k, v] = 0; M = 0.5 * M + key * val; S = 0.9 * S + M; z = dot[k](q, S)",
        "z, S[t = -1]",
        MATRIX,
        (E, E),
    ),
    "mean field": Cell(
        "x[b, t, d]", "carry S[d] = 0; S = 0.5 * mean[d](S) + x", "S, S[t = -1]", VECTOR, (L,)
    ),
    "a matrix": Cell(
        "x[b, t, d], w[d, e]",
        "carry S[d] = 0; S = 0.3 * dot[e](w, S[d -> e]) + x",
        "S, S[t = -1]",
        VECTOR,
        (A,),
    ),
    "nonlinear of another": Cell(
        "x[b, t, d]",
        "carry y[d], S[d] = 0; y = tanh(y + x); S = sigmoid(y) * S + prev(y)",
        "S, y[t = -1]",
        VECTOR,
        (S, E),
    ),
    "separate": Cell(
        "x[b, t, d], w[d]", "carry y[d] = 0; y = tanh(w * y + x)", "y, y[t = -1]", VECTOR, (S,)
    ),
    "separate pair": Cell(
        "x[b, t, d], w[d]",
        "carry y[d], c[d] = 0; c = sigmoid(w * y + x) * c + x; y = tanh(c) * sigmoid(y)",
        "y, y[t = -1]",
        VECTOR,
        (S,),
    ),
    "lstm": Cell(
        "x[b, t, n]", "carry y[n], c[n] = 0; y, c = lstm_cell[d = n'](x[n -> n'], y, c)",
        "y, y[t = -1]", "[b, t, n], [b, n]", (N,),
    ),
    "gru": Cell(
        "x[b, t, n]", "carry y[n] = 0; y = gru_cell[d = n'](x[n -> n'], y)", "y, y[t = -1]",
        "[b, t, n], [b, n]", (N,),
    ),
    "piecewise": Cell(
        "x[b, t, d], w[d, e], a[d]",
        "carry y[d] = 0; shown = where(d < 1, y, max(y, 0));"
        "y = 0.5 * a * y + 0.2 * dot[e](w, shown[d -> e]) + x",
        "y, y[t = -1]",
        VECTOR,
        (N,),
    ),
    "turning": Cell(
        "x[b, t, d], w[d]",
        "carry S[d, h] = 0; near = norm[h](S); other = flip[h](S);"
        "S = tanh(0.8 * S - 0.5 * w * near * where(h == 0, other, -other) + x)",
        "sum[h](S), S[t = -1]",
        "[b, t, d], [b, d, h]",
        (N,),
    ),
    "turning, with a sum": Cell(
        "x[b, t, d], w[d]",
        "carry S[d, h] = 0.3; carry m[d] = 0; m = tanh(m + sum[h](S)); S = sigmoid(m + w) * S + x",
        "m, S[t = -1]",
        "[b, t, d], [b, d, h]",
        (N,),
    ),
    "spiking": Cell(
        "x[b, t, d]",
        "carry u[d], s[d] = 0; u = 0.9 * u * (1 - s) + x; s = heaviside(u - 1)",
        "s, u[t = -1]",
        VECTOR,
        (S,),
    ),
}  # fmt: skip
