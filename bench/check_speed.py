"""How long checking takes, in lines: specs of 100 to 10,000 lines, made by repeating statements.

Prints the CPU time of each in a process of its own, without and with starting Python. The 1,000
lines should take less than 1.2 s, the std files that they use included, and ten times as many not
much more than ten times as long.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

PART = """\
# Part {n}: a model, what is done to it, and how it is trained.
block mixer_{n}[h = 4, k = 16](x[t, d]) -> [t, d]:
    q = linear[d -> h, k](x)
    key = shortconv[t, h, k](linear[d -> h, k](x), width = 3)
    v = linear[d -> h, k](x)
    scores = dot[k](q, key[t -> s]) / sqrt(|k|)
    pattern = softmax[s](where(s <= t, scores, -inf))
    z = dot[s](pattern, v[t -> s])
    return linear[h, k -> d](z)

block memory_{n}[h = 2, k = 8, v = 8](x[t, d]) -> [t, d]:
    q = l2norm[k](linear[d -> h, k](x))
    key = l2norm[k](silu(linear[d -> h, k](x)))
    val = linear[d -> h, v](x)
    beta = sigmoid(linear[d -> h](x))
    scan t:
        carry S[h, k, v] = 0
        S = S + beta * key * (val - dot[k](key, S))
        o = dot[k](q, S)
    return linear[h, v -> d](rmsnorm[v](o))

model reader_{n}[d = 64, vocab = 256, ctx = 256](tokens[b, t of b]: int, L = 2) -> [b, t, vocab]:
    param wte[vocab, d] ~ normal(0, 0.02)
    param wpe[ctx, d] ~ normal(0, 0.02)
    x = wte[vocab = tokens] + wpe[ctx = t]
    repeat layer * L:
        attn = mixer_{n}(layernorm[d](x))
        mid = x + attn
        mem = memory_{n}(layernorm[d](mid))
        top = mid + dropout(mem, p = 0.1)
        ffn = mlp(layernorm[d](top), nonlinearity = silu)
        x = top + ffn
    final = layernorm[d](x)
    logits = dot[d](final, wte)
    return logits

data words_{n} = repeats(n = 64, t = 16, vocab = 256)

intervention steer_{n}(alpha = 4.0, l = 0) on reader_{n}:
    layer[l].attn.z[h = 1] *= alpha
    layer[*].ffn.act = where(abs(it) >= 0.1, it, 0)

train base_{n} of reader_{n} on words_{n}:
    loss = mean[b, t](cross_entropy[vocab](logits[t = 0..-1], tokens[t = 1..]))
    using adamw(lr = 3e-4, weight_decay = 0.1), batch 32, steps 2000
    schedule warmup(100) then cosine(to = 0.1)
    expect loss < 2.2

experiment study_{n} of reader_{n} with base_{n} on words_{n}:
    run clean = reader_{n}(tokens = words_{n}.tokens)
    run steered = clean with steer_{n}(alpha = 2)
    measure last(r) = mean[b](r.logits[t = @last, vocab = 3])
    far = last(clean) - last(steered)
    sweep effect over l in layer, p in t:
        run cut = clean with layer[l].x[t = p] = 0
        last(cut) - last(clean)
    show far
    plot heatmap(effect, x = p, y = l)
    expect max[l, p](effect) > far

"""


def spec(lines: int) -> str:
    """A spec of so many lines, give or take a statement."""
    parts = []
    count = 0
    for number in range(lines):
        parts.append(PART.replace("{n}", str(number)))
        count += parts[-1].count("\n")
        if count >= lines:
            break
    return "".join(parts)


def measured(path: Path) -> tuple[float, float, float]:
    """CPU time of the command, of reading and checking alone, and the most memory (in MB)."""
    code = (
        "import resource, sys, time; from neuraxis.dsl.check import check_text; t = "
        "time.process_time();"
        f"c = check_text('spec.nax', open({str(path)!r}).read()); d = time.process_time() - t;"
        "assert c.ok, c.diagnostics[0];"
        "print(d, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    alone, memory = map(float, ran.stdout.split())
    return whole, alone, memory


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lines", nargs="*", type=int, default=[100, 1000, 3000, 10_000])
    parser.add_argument("--repeat", type=int, default=3, help="the least of so many is shown")
    parser.add_argument("--write", metavar="FILE", help="only write the largest spec")
    args = parser.parse_args()
    if args.write:
        Path(args.write).write_text(spec(max(args.lines)), encoding="utf-8")
        return
    print(f"{'lines':>7} {'whole s':>9} {'check s':>9} {'ms/line':>9} {'MB':>6}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "spec.nax")
        for lines in args.lines:
            text = spec(lines)
            path.write_text(text, encoding="utf-8")
            count = text.count("\n")
            whole, alone, memory = min(measured(path) for _ in range(args.repeat))
            each = 1000 * alone / count
            print(f"{count:>7} {whole:>9.2f} {alone:>9.2f} {each:>9.3f} {memory:>6.0f}")


if __name__ == "__main__":
    main()
