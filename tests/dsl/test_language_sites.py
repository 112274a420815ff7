"""Sections 2, 5 and 6 of the language: addresses, interventions, experiments, training."""

from __future__ import annotations

import pytest
from tests.dsl.written import TINY, axes, block, model_text, read, right, sites, wrong

from neuraxis.dsl.check import check_text

HEAD = "[d = 3](x[b, t, d]) -> [b, t, d]"


def of(text: str, start: str = "") -> list[str]:
    made = read(HEAD, text)
    return [site for site in sites(made) if site.startswith(start)]


# ---- addresses


def test_the_inside_of_a_call_lives_under_the_name_that_is_assigned() -> None:
    assert of("y = mlp[m = 5](x)\nreturn y", "y") == [
        "y.x", "y.act.x", "y.act.w", "y.act.y", "y.act.b", "y.act.pre", "y.act.ratio", "y.act",
        "y.out.x", "y.out.w", "y.out.y", "y.out.b", "y",
    ]  # fmt: skip


def test_under_return_it_lives_under_out() -> None:
    assert "out.act.w" in of("return mlp(x)")


def test_other_calls_live_under_the_name_of_their_block() -> None:
    found = of("y = layernorm[d](x) + layernorm[d](x)\nz = 2 * layernorm[d](y)\nreturn z")
    for number in ("", ".2", ".3"):
        assert {f"layernorm{number}", f"layernorm{number}.scale"} <= set(found)


def test_a_wrapper_without_parameters_is_transparent() -> None:
    assert "act.w" in of("act = gelu(linear[d -> d](x))\nreturn act")
    assert "act.w" in of("act = tanh(dropout(linear[d -> d](x)))\nreturn act")
    # one with parameters is not
    assert "linear.w" in of("act = layernorm[d](linear[d -> d](x))\nreturn act")


def test_what_a_block_returns_is_also_its_out() -> None:
    made = read(HEAD, "y = mlp(x)\nz = relu(y)\nreturn z")
    assert made.aliases["y.out"] == "y"
    assert made.aliases["out"] == "z"


def test_decisions_are_sites() -> None:
    found = of(
        """
        a = relu(x)
        c = gelu(x)
        e = silu(x)
        n = layernorm[d](x)
        p = attention[h = 1, k = 3](x)
        g = glu(x)
        return a + c + e + n + p + g
        """
    )
    assert {
        "a.ratio", "c.ratio", "e.ratio", "n.scale", "p.pattern", "p.scores", "g.gate.factor",
    } <= set(found)  # fmt: skip


def test_what_enters_a_turn_and_what_a_call_was_given() -> None:
    found = of("repeat layer * 2:\n    h = mlp(x)\n    x = x + h\nreturn x", "layer[1]")
    assert {"layer[1].in.x", "layer[1].h.x", "layer[1].h", "layer[1].x"} <= set(found)


# ---- interventions


def intervention(body: str, head: str = "") -> str:
    return TINY + block(f"intervention i{head} on tiny", body)


@pytest.mark.parametrize(
    "body",
    [
        "layer[6].x[t >= 3] += 2",  # a larger model has such a turn
        "layer[*].attn.z[h = 1] = mean[b, t](base.layer[0].attn.z[h = 1])",
        "layer[*].ffn.act = where(abs(it) >= 0.1, it, 0)",
        "layer[1].x = before.layer[0].x",
        "layer[0].attn.pattern[h != 1, t = -1, s = 0..2] = 0",
        "layer[0].attn.pattern[h in {0, 1}] *= 0.5",
        "layer[0].x[t = @last] = 0",
        "layer[0].in.x = 0",
        "layer[0].attn.x -= 1",
        "layer[0].layernorm.2.scale = 1",
        "layer[0].ffn.act.w *= 2",
        "layer[1] = identity",
        "layer[*] = identity",
        "layer[0].ffn = identity",
        "layer[0].ffn.out = 0",
        "out = 0",
        "layer[*].attn.* *= 1",
        "wte = 0.9 * it",
        "tokens = 3",
        "layer[1].mid = layer[0].mid",
        "layer[0].mid[d = 0..3] = 0",
        "layer[0].mid[d = 5..] /= 2",
        "layer[0].mid[t = 2 * 3] = 0",
        "layer[*].mid = it * layer",
        "share r = rotation[d -> f]\nlayer[0].mid = dot[f](r.w, where(f < 2, r(it), 0))",
        "share layer[*].m = mlp\nlayer[*].mid += m(it)\nlayer[1].x = m(it)",
    ],
)
def test_a_write_that_is_right(body: str) -> None:
    right(intervention(body))


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        ("layer[0].attn.patern = 0", "unknown-site"),
        ("layers[0].x = 0", "unknown-site"),
        ("foo = 0", "unknown-site"),
        ("layer.x = 0", "unknown-site"),
        ("layer[*].foo = 0", "unknown-site"),
        ("layer[0][1].x = 0", "unknown-site"),
        ("layer[0.5].x = 0", "unknown-site"),
        ("layer[q].x = 0", "unknown-name"),
        ("f(x).y = 0", "unknown-site"),
        ("layer[0] = 0", "bad-write"),
        ("layer[0].attn.scores = identity", "bad-write"),
        ("layer[0].mid[q = 1] = 0", "unknown-axis"),
        ("layer[0].mid[d = 8] = 0", "bad-index"),
        ("layer[0].mid[d] = 0", "unknown-name unknown-site bad-index"),
        ("layer[0].mid[t = @foo] = 0", "unknown-field"),
        ("layer[0].mid = foo", "unknown-name"),
        ("layer[0].mid = layer[1].mid", "bad-write"),
        ("layer[0].mid = layer[*].*", "bad-write unbuilt"),
        ("tokens = 1.5", "wrong-dtype"),
        ("layer[0].mid = layer[0].attn.z", "axis-mismatch"),
        ("layer[0].mid[t = 0] = layer[0].attn.z", "axis-mismatch"),
        ("layer[0].x = 0\nlayer[0].x = 1", ""),
        ("gain tokens = 2", "wrong-dtype"),
        ("freeze layer[0].nothing", "unknown-site"),
        ("backward layer[0].x = layer[0].attn.z", "axis-mismatch"),
        ("keep layer[0].x = it for decode", "unbuilt"),
        ("during train 0..3: layer[0].mid = 0", "wrong-arguments"),
        ("during generation: layer[0].mid = 0", "unknown-option"),
        ("during prefill 0..3: layer[0].mid = 0", "wrong-arguments"),
        ("during decode 0.5..3: layer[0].mid = 0", "bad-index"),
        ("during decode 3..-1: layer[0].mid = 0", "bad-index"),
        ("during decode: wte = 0", "unknown-axis"),
        ("during decode: layer[0].foo = 0", "unknown-site"),
        ("during decode a..3: layer[0].mid = 0", "unknown-name"),
        ("layer[0].x along {logit} = 0", "unknown-site"),
        ("share r = 2\nlayer[0].x = it", "not-a-value"),
        ("share r[0] = rotation[d -> f]\nlayer[0].x = it", "unknown-site"),
        ("share r = relu\nshare r = relu\nlayer[0].x = r(it)", "reassigned"),
        ("share layer[*].r = relu\nlogits = r(it)", "unknown-site"),
        ("share r = mlp\nlayer[0].x = r.w", "unknown-site"),
    ],
)
def test_a_write_that_cannot_be_is_refused(body: str, slug: str) -> None:
    text = intervention(body)
    if slug:
        assert set(slug.split()) & set(wrong(text))
    else:
        assert [d.slug for d in check_text("spec.nax", text).diagnostics] == ["overlapping-write"]


def test_all_mistakes_of_an_intervention_are_said() -> None:
    body = "foo = 0\nlayer[0].x = bar\nlayer[0].mid[q = 1] = 0"
    assert sorted(wrong(intervention(body))) == ["unknown-axis", "unknown-name", "unknown-site"]


@pytest.mark.parametrize(
    ("body", "warned"),
    [
        ("layer[0].x = 0\nlayer[0].x += 1", False),
        ("layer[0].x = 0\nlayer[0].x = 2 * it", False),
        ("layer[0].x[t = 0] = 0\nlayer[0].x[t = 1] = 1", False),
        ("layer[0].x[t = 0] = 0\nlayer[0].x[d = 1] = 1", True),
        ("layer[*].x = 0\nlayer[0].x = 1", True),
    ],
)
def test_two_writes_of_one_element_are_told(body: str, *, warned: bool) -> None:
    found = right(intervention(body)).diagnostics
    assert [d.slug for d in found] == ["overlapping-write"] * warned


def test_parameters_of_an_intervention() -> None:
    right(intervention("layer[l].attn.z[h = n] = alpha * it", "(l, n = 1, alpha = 4.0)"))
    right(intervention("layer[0].x += v", "(v[d])"))
    assert wrong(intervention("layer[0].x += v", "(v[q])")) == ["unknown-axis"]
    right(intervention("layer[0].x = source.layer[0].x", "(source: run)"))
    right(intervention("layer[0].x from source", "(source: run)"))
    assert wrong(intervention("layer[0].x = source.layer[0].xx", "(source: run)")) == [
        "unknown-site"
    ]
    assert wrong(intervention("layer[0].x = source", "(source: run)")) == ["not-a-value"]


def test_an_axis_of_a_parameter_is_the_outermost_of_its_name() -> None:
    body = "y = attention[h = 3, k = 4](x)\nz = x[d -> h]\nreturn z"
    text = model_text("[d = 8](x[b, t, d]) -> [b, t, h]", body)
    right(f"{text}\n{block('intervention i(v[h]) on m', 'z += v')}")
    assert wrong(f"{text}\n{block('intervention i(v[h]) on m', 'y.q += v')}") == ["size-mismatch"]


# ---- experiments


def experiment(body: str, head: str = "experiment e of tiny on words", before: str = "") -> str:
    return f"{TINY}\n{before}\n{block(head, body)}"


STEER = "intervention steer(alpha = 1.0, l = 0) on tiny:\n    layer[l].x += alpha\n"


@pytest.mark.parametrize(
    "body",
    [
        "run a = tiny(tokens = words.tokens)\nshow a.logits",
        "run a = tiny\nshow a.out, a.layer[0].attn.out",
        "run a = tiny[d = 4]\nshow a.logits",
        "run a = tiny(tokens = words.tokens, L = 3)\nshow a.layer[2].x",
        "run a = tiny\nrun c = a with steer(alpha = 2), layer[1].x *= 2\nshow c.logits",
        "run a = tiny\nrun c = a with steer(2, 1)\nrun e = c with layer[0].mid from a\nshow e.logits",
        "run a = tiny\nrun c = patch layer[0].mid from a in a\nshow c.logits",
        "run a = tiny\nmeasure m(r) = mean[b, t, vocab](r.logits)\nx = m(a)\nexpect x < 3",
        "run a = tiny\nshow a.layer[*].mid, mean[layer](a.layer[*].mid)",
        "run a = tiny\nexpect all[b, t, vocab](isfinite(a.logits))",
        "run a = tiny\nexpect mean[b, t](a.logits[vocab = 0]) == 0",
        "run a = tiny\nshow a.logits[t = @last, vocab = words.tokens[t = @last]]",
        "x = ngram(words, n = 3)\nexpect x > 0",
        'run a = tiny\nplot heatmap(mean[b](a.logits), x = t, y = vocab, title = "What?")',
        "run a = tiny\nplot line(mean[b, t](a.logits), error = std[b, t](a.logits))",
        "run a = tiny\nplot bars(mean[b, t](a.logits), low = min[b, t](a.logits), high = 3.0)",
        "run a = tiny\nplot bars(mean[b, vocab](a.logits), tokens = words.tokens[b = 0])",
        "run a = tiny\nplot heads(a.logits, columns = b, y = t)",
        "x = words.tokens[b = 0]\nplot pattern(float(x) * float(x[t -> s]), tokens = x, queries = x)",
        "run a = tiny\nplot circuit(mean[b](a.logits), most = 3, least = 0.5)",
        "run a = tiny\nplot circuit[b, t -> vocab](a.logits)",
    ],
)
def test_an_experiment_that_is_right(body: str) -> None:
    right(experiment(body, before=STEER))


def test_a_sweep_is_an_axis() -> None:
    found = right(
        experiment(
            """
            run a = tiny
            sweep s over l in layer, p in t, g in [0, 0.5]:
                run c = a with layer[l].x[t = p] *= g
                best = max[vocab](c.logits[t = @last])
                mean[b](best)
            expect max[l, p, g](s) > 0
            """
        )
    )
    (plan,) = found.experiments["e"].sweeps
    assert plan.variables == ("l", "p", "g")


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        ("run a = tiny(tokens = words.tokns)", "unknown-field"),
        ("run a = tiny(toks = words.tokens)", "wrong-arguments"),
        ("run a = tiny(words.tokens)", "wrong-arguments"),
        ("run a = tiny(tokens = 3)", "missing-axis"),
        ("run a = tiny(tokens = words)", "not-a-value"),
        ("run a = tiny(tokens = float(words.tokens))", "wrong-dtype"),
        ("run a = tiny[q = 3]", "unknown-axis"),
        ("run a = tiny[d](tokens = words.tokens)", "bad-size"),
        ("run a = tiny[d = 0]", "bad-size"),
        ("run a = tinny", "unknown-name"),
        ("run a = mlp", "unknown-name"),
        ("run a = 3", "unknown-name"),
        ("run a = tiny\nrun a = tiny", "reassigned"),
        ("run a = tiny\nx = a", "not-a-value"),
        ("run a = tiny\nshow a.foo", "unknown-site"),
        ("run a = tiny\nshow a.layer[2].x", "unknown-site"),
        ("run a = tiny\nshow a.layer[*].attn.*", "bad-write"),
        ("run a = tiny\nshow b.logits", "unknown-name"),
        ("run a = tiny\nshow words", "not-a-value"),
        ("run a = tiny with steer(beta = 3)", "wrong-arguments"),
        ("run a = tiny with steer(1, 2, 3)", "wrong-arguments"),
        ("run a = tiny with steer(l = 7)", "unknown-site"),
        ("run a = tiny with foo", "unknown-name"),
        ("run a = tiny with 3", "unknown-name"),
        ("run a = tiny with layer[2].x = 0", "unknown-site"),
        ("run a = tiny with layer[0].x from words", "bad-write"),
        ("run a = tiny with layer[0].x along {logit} from a", "unknown-site"),
        ("run a = decode(prompt = words.tokens)", "wrong-arguments"),
        ("run a = decode(steps = 4)", "wrong-arguments"),
        ("run a = decode(words.tokens, steps = 4)", "unknown-option"),
        ("run a = decode(prompt = words.tokens, steps = 4, beams = 2)", "unknown-option"),
        ("run a = decode(prompt = words.tokens, steps = 0)", "wrong-arguments"),
        ("run a = decode(prompt = words.tokens, steps = 2.5)", "wrong-arguments"),
        ("run a = decode(prompt = words.tokens, steps = 4, top_p = 2.0)", "wrong-arguments"),
        ("run a = decode(prompt = words.tokens, steps = words.tokens[b = 0, t = 0])", "not-constant"),
        ("run a = decode(prompt = words.tokens / 2, steps = 4)", "wrong-dtype"),
        ("run a = decode(prompt = words.tokens[t = 0], steps = 4)", "axis-mismatch"),
        ("run a = decode(prompt = words.tokens, steps = 4)\nrun b = a with layer[0].x = 0", "not-a-value"),
        ("run a = decode(prompt = words.tokens, steps = 4)\nshow a.logits", "unknown-site"),
        ("run a = decode(prompt = words.tokens, steps = 4) with steer(beta = 3)", "wrong-arguments"),
        ("sweep s over n in 1..3:\n    run a = decode(prompt = words.tokens, steps = n)\n    1.0", "not-constant"),
        ("measure m(r) = m(r)\nrun a = tiny\nx = m(a)", "recursive"),
        ("measure m(r) = r.logits\nrun a = tiny\nshow m(a, a)", "wrong-arguments"),
        ("measure m(r) = r.logits\nshow m(words)", "wrong-arguments"),
        ("measure m(r) = r.logits\nshow m", "not-a-value"),
        ("sweep s over l in layer:\n    1.0", "misplaced"),
        ("sweep s over l in 0..0:\n    1.0", "bad-size"),
        ("sweep s over l in 5..2:\n    1.0", "bad-size"),
        ("sweep s over l in 0..:\n    1.0", "bad-index"),
        ("sweep s over l in []:\n    1.0", "bad-size"),
        ("sweep s over l in [x]:\n    1.0", "unknown-name"),
        ("sweep s over l in 3:\n    1.0", "bad-index"),
        ("sweep s over l in 0..3, l in 0..3:\n    1.0", "duplicate-name"),
        ("run a = tiny\nsweep s over l in 0..4:\n    run c = a with layer[l].x = 0\n    1.0", "unknown-site"),
        ("run a = tiny\nexpect a.logits > 0", "axis-mismatch"),
        ("expect 3", "wrong-dtype"),
        ("expect 1.0 + 2", "wrong-dtype"),
        ("run a = tiny\nplot heat(a.logits)", "unknown-name"),
        ("plot 3", "unknown-name"),
        ("plot heatmap()", "wrong-arguments"),
        ("run a = tiny\nplot heatmap(a.logits, z = t)", "unknown-option"),
        ("run a = tiny\nplot heatmap(a.logits, x = q)", "unknown-axis"),
        ("run a = tiny\nplot heatmap(a.logits, x = 3)", "not-an-axis"),
        ("run a = tiny\nplot heatmap(a.logits, title = t)", "wrong-dtype"),
        ("run a = tiny\nplot heatmap(a)", "not-a-value"),
        ("run a = tiny\nplot heatmap(a.logits)", "axis-mismatch"),
        ("plot line(1.0)", "axis-mismatch"),
        ("run a = tiny\nplot heads(mean[b](a.logits))", "axis-mismatch"),
        ("run a = tiny\nplot pattern(a.logits)", "axis-mismatch"),
        ("run a = tiny\nplot heatmap[t](mean[b](a.logits))", "unknown-name"),
        ("run a = tiny\nplot heatmap(mean[b](a.logits), error = mean[b](a.logits))", "unknown-option"),
        ("run a = tiny\nplot line(mean[b, t](a.logits), error = mean[b](a.logits))", "axis-mismatch"),
        ("run a = tiny\nplot line(mean[b, t](a.logits), error = a)", "not-a-value"),
        ("run a = tiny\nplot heatmap(mean[b](a.logits), tokens = words.tokens)", "axis-mismatch"),
        ("run a = tiny\nplot heatmap(mean[b](a.logits), tokens = mean[b, t](a.logits))", "wrong-dtype"),
        ("run a = tiny\nplot circuit(a.logits)", "bad-index"),
        ("run a = tiny\nplot circuit[b -> t](a.logits)", "axis-mismatch"),
        ("run a = tiny\nplot circuit[b, t -> t](a.logits)", "axis-mismatch"),
        ("run a = tiny\nplot circuit[b, t, vocab](a.logits)", "bad-index"),
        ("run a = tiny\nplot circuit[b -> t -> vocab](a.logits)", "syntax"),
        ("run a = tiny\nplot circuit[b -> t = 3](a.logits)", "bad-index"),
        ("run a = tiny\nplot circuit[q -> t](mean[b](a.logits))", "unknown-axis"),
        ("run a = tiny\nplot circuit(mean[b, t](a.logits))", "axis-mismatch"),
        ("run a = tiny\nplot circuit(mean[b](a.logits), most = 1.5)", "wrong-arguments"),
        ("run a = tiny\nplot circuit(mean[b](a.logits), least = a.logits)", "not-constant"),
        ("x = ngram(words, q = 3)", "unknown-option"),
        ("x = ngram()", "wrong-arguments"),
        ("seen = text(words.tokens)", "not-a-value"),
        ("show text()", "wrong-arguments"),
        ("run a = tiny\nshow text(a.logits)", "wrong-dtype"),
        ("show text[q](words.tokens)", "unknown-axis"),
        ("show text[b, t](words.tokens)", "bad-index"),
        ("attribute h over l in 0..3:\n    1.0\nexpect h > 3", "axis-mismatch"),
        ("a.b = 3", "bad-write"),
    ],
)  # fmt: skip
def test_an_experiment_that_cannot_be_is_refused(body: str, slug: str) -> None:
    assert wrong(experiment(body, before=STEER)) == [slug]


@pytest.mark.parametrize(
    ("head", "slug"),
    [
        ("experiment e of tinny on words", "unknown-name"),
        ("experiment e of tiny on wordz", "unknown-name"),
        ("experiment e of tiny on tiny", "unknown-name"),
        ("experiment e of tiny on 3", "unknown-name"),
        ("experiment e of tiny on words[q = 3]", "bad-index"),
        ("experiment e of tiny with foo on words", "unknown-name"),
        ("experiment e of tiny[q = 3] on words", "unknown-axis"),
        ("experiment e of tiny(q = 3) on words", "wrong-arguments"),
        ("experiment e of tiny(3) on words", "wrong-arguments"),
    ],
)
def test_the_head_of_an_experiment(head: str, slug: str) -> None:
    assert wrong(experiment("run a = tiny\nshow a.logits", head)) == [slug]


# ---- training


LOSS = "loss = mean[b, t](cross_entropy[vocab](logits, tokens))\n"
USING = "using adamw(lr = 3e-4), batch 8, steps 20\n"


@pytest.mark.parametrize(
    "body",
    [
        LOSS + USING,
        LOSS + "using sgd, epochs 3, clip 0.5",
        LOSS + USING + "schedule warmup(10) then cosine(to = 0.1)",
        LOSS + USING + "only layer[*].attn, wte\nfreeze layer[0].attn.q",
        LOSS + USING + "group layer[*].attn.*: lr = 1e-4, weight_decay = 0",
        LOSS + USING + "every 10 steps: evaluate\nevery 5 steps: snapshot\nexpect loss < 9",
        LOSS + USING + "layer[0].x = 0\nlayer[1].x[t = 0] *= 2\nuntil step 5: layer[0].mid = it",
        LOSS + USING + "until step 5\nevery 2 steps: evaluate\nuntil loss < 3",
        LOSS
        + USING
        + "phase a:\n    only wte\n    x = 0\n    until step 3\nphase b:\n    freeze wte",
        LOSS + USING + "phase a:\n    using none\n    until step 3\nupdate wte *= 0.9",
        LOSS + USING + "shifted = (words.tokens + 1) % 16\nrun other = tiny(tokens = shifted)\n"
        "layer[0].x from other\nseen = mean[b, t, d](other.layer[1].x)",
        "size = mean[b, t, d](layer[*].x[layer = 0] ^ 2)\n" + LOSS + USING + "expect size > 0",
    ],
)
def test_a_training_that_is_right(body: str) -> None:
    found = right(experiment(body, "train w of tiny on words"))
    assert found.trainings["w"].train.outputs[0].label == "loss"


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        (LOSS, "wrong-arguments"),
        (USING, "wrong-arguments"),
        (LOSS + USING + USING, "wrong-arguments"),
        (LOSS + "using adam, batch 8", "wrong-arguments"),
        (LOSS + "using batch 8, steps 3", "wrong-arguments"),
        (LOSS + "using addam(lr = 1), steps 3", "unknown-name"),
        (LOSS + "using adam(lrr = 1), steps 3", "unknown-option"),
        (LOSS + "using adam(lr = inf), steps 3", "bad-size"),
        (LOSS + "using adam(lr = foo), steps 3", "unknown-name"),
        (LOSS + "using adam, batch 0, steps 3", "bad-size"),
        (LOSS + "using adam, batch 8.5, steps 3", "bad-size"),
        (LOSS + "using adam, batches 8, steps 3", "unknown-option"),
        (LOSS + USING + "schedule wrmup(3)", "unknown-name"),
        (LOSS + USING + "schedule warmup(q = 3)", "unknown-option"),
        (LOSS + USING + "only layer[*].attnn", "unknown-site"),
        (LOSS + USING + "freeze layer[2].attn", "unknown-site"),
        (LOSS + USING + "group wte: foo = 3", "unknown-option"),
        (LOSS + USING + "every 3 epochs: evaluate", "unknown-option"),
        (LOSS + USING + "every 0 steps: evaluate", "bad-size"),
        (LOSS + USING + LOSS, "reassigned"),
        ("loss = cross_entropy[vocab](logits, tokens)\n" + USING, "axis-mismatch"),
        ("loss = foo\n" + USING + "expect loss < 3", "unknown-name"),
        (LOSS + USING + "expect logits < 3", "axis-mismatch"),
        (LOSS + USING + "layer[0].xx = 0", "unknown-site"),
        (LOSS + USING + "layer[0].x, wte = 0, 1", "bad-write"),
        (LOSS + USING + "update wtee += 1", "unknown-site"),
        (LOSS + USING + "update layer[0].x += 1", "bad-write"),
        (LOSS + USING + "update wte += mean[b](logits)", "axis-mismatch"),
        (LOSS + USING + "until step 5: layer[0].xx = 0", "unknown-site"),
        (LOSS + USING + "until epoch 5: layer[0].x = 0", "unknown-option"),
        (LOSS + USING + "until step 0: layer[0].x = 0", "bad-size"),
        (LOSS + USING + "until epoch 5", "unknown-option"),
        (LOSS + USING + "until loss < 3", "wrong-arguments"),
        (LOSS + USING + "every 5 steps: evaluate\nuntil logits < 3", "axis-mismatch"),
        (LOSS + USING + "every 5 steps: evaluate\nuntil loss", "wrong-dtype"),
        (LOSS + USING + "until step 3\nuntil step 4", "wrong-arguments"),
        (LOSS + USING + "phase a:\n    freeze wtee", "unknown-site"),
        (LOSS + USING + "phase a:\n    freeze wte\nphase b:\n    only wte", "wrong-arguments"),
        (LOSS + USING + "phase a:\n    lss = 3", "unknown-site"),
        (LOSS + USING + "phase a:\n    expect loss < 3", "wrong-arguments"),
        (LOSS + USING + "phase a:\n    using adam, steps 5", "unknown-option"),
        (LOSS + USING + "phase a:\n    using adam\n    using sgd", "wrong-arguments"),
        (LOSS + USING + "phase a:\n    phase b:\n        freeze wte", "wrong-arguments"),
        (LOSS + USING + "phase a:\n    run r = tiny", "wrong-arguments"),
        (LOSS + USING + "phase a:\n    layer[0].x = 0 * foo\n    until step 4", "unknown-name"),
        ("using none, steps 3", "wrong-arguments"),
        ("using none, steps 3\nupdate wte += 1\nonly wte", "wrong-arguments"),
        ("using none, steps 3\nupdate wte += 1\nschedule linear", "wrong-arguments"),
        ("using none(lr = 3), steps 3\nupdate wte += 1", "unknown-option"),
        ("run teacher = tiny\nloss = mean[b](teacher.foo)\n" + USING, "unknown-site"),
        ("run teacher = tiny(L = 3)\n" + LOSS + USING, "wrong-arguments"),
        ("run teacher = tinny\nloss = mean[b, t, vocab](teacher.logits)\n" + USING, "unknown-name"),
        ("run a = tiny\nrun a = tiny\n" + LOSS + USING, "reassigned"),
        ("run t = tiny with w\n" + LOSS + USING, "recursive"),
    ],
)
def test_a_training_that_cannot_be_is_refused(body: str, slug: str) -> None:
    assert wrong(experiment(body, "train w of tiny on words")) == [slug]


@pytest.mark.parametrize(
    ("head", "slugs"),
    [
        ("train w of tinny on wordz", ["unknown-name", "unknown-name"]),
        ("train w of tiny from foo on words", ["unknown-name"]),
        ("train w of tiny from words on words", ["unknown-name"]),
        ("train w of tiny fresh layer[*].foo on words", ["unknown-site"]),
        ("train w of tiny with foo on words", ["unknown-name"]),
        ("train w of tiny[d = -2] on words", ["bad-size"]),
        ("train w of tiny(L = 0.5) on words", ["bad-size"]),
        ("train w of tiny on rows", ["wrong-arguments"]),
    ],
)
def test_the_head_of_a_training(head: str, slugs: list[str]) -> None:
    rows = 'data rows = csv("rows.csv"): toks[t of b]: int\n'
    assert wrong(experiment(LOSS + USING, head, rows)) == slugs


def test_several_mistakes_of_a_training_are_said_at_once() -> None:
    body = (
        LOSS
        + "using addam, steps 3\nschedule foo\nonly bar\ngroup wte: q = 3\nevery 0 steps: evaluate"
    )
    assert sorted(wrong(experiment(body, "train w of tiny on words"))) == sorted(
        ["unknown-name", "unknown-name", "unknown-site", "unknown-option", "bad-size"]
    )


# ---- data and weights


@pytest.mark.parametrize(
    ("line", "slug"),
    [
        ("data d = 3", "wrong-arguments"),
        ("data d = digitz()", "unknown-name"),
        ("data d = digits(held = 2)", "wrong-arguments"),
        ("data d = digits(helt = 0.5)", "unknown-option"),
        ("data d = csv()", "wrong-arguments"),
        ('data d = csv("a.csv"): x: foo', "wrong-dtype"),
        ("data d = digits(): x: int", "unknown-field"),
        ("data d = repeats(n = 99999999999, t = 9999)", "too-large"),
        ("data d = recall(pairs = 50, vocab = 10)", "wrong-arguments"),
        ("data words = digits()", "duplicate-name"),
    ],
)
def test_data_that_cannot_be_is_refused(line: str, slug: str) -> None:
    assert wrong(f"{TINY}{line}\n") == [slug]


@pytest.mark.parametrize(
    ("line", "slug"),
    [
        ('wte = file["wte"]', ""),
        ('wte = file["wte"] as [vocab, d]', ""),
        ('wte = file["wte"][:, 0..8] as [vocab, d]', ""),
        ('layer[i].attn.q.w = file["h.{i}.w"][0] as [d, (h k)]', ""),
        ('layer[*].attn.q.w = file["w"]', ""),
        ('layer[0].attn.q.w = file["w"]', ""),
        ('foo = file["wte"]', "unknown-site"),
        ('layer[9].attn.q.w = file["wte"]', "unknown-site"),
        ('wte = file["wte"] as [vocab]', "axis-mismatch"),
        ('wte = file["wte.{i}"]', "unknown-name"),
        ('wte = file["wte", "embed"]', ""),
        ('wte = 1 + 2 * file["wte"] / 3 - 4', ""),
        ('wte = -file["wte"]', ""),
        ('wte = file["wte"] as [(part vocab), d][part = 1]', ""),
        ('layer[i].attn.q.w = file["h.{h}.{i}.w"] as [k, d]', ""),
        ('layer[i].attn.q.w = file["w"][0..|h| * |k|, ..|d|] as [(h k), d]', ""),
        ('skip file["*.mask", "b"]', ""),
        ('if L > 1:\n        wte = file["wte"]\n    else:\n        foo = 1', ""),
        ("expect L == 2 and |d| > 1", ""),
        ("expect L == 3", "failed-expectation"),
        ("expect wte", "unknown-name"),
        ('wte = file["wte"] as [(part vocab), d]', "axis-mismatch"),
        ('wte = file["wte"] as [vocab, d][part = 1]', "axis-mismatch"),
        ('wte = file["wte"] as [(part vocab), d][1]', "bad-index"),
        ('wte = file["wte"] + file["b"]', "bad-file"),
        ('wte = 1 / file["wte"]', "bad-file"),
        ('wte = file["wte"] / 0', "bad-file"),
        ('wte = inf * file["wte"]', "bad-size"),
        ("wte = file[wte]", "bad-file"),
        ('skip "wte"', "bad-file"),
        ('layer[i].attn.q.w = file["{e}"]', "unknown-name"),
        ('wte = file["wte"][0..config["n"]]', "not-constant"),
        ("wte = 3", "bad-file"),
        ('wte = file["wte"][0.5]', "bad-index"),
        ('wte = file["wte"][0..0.5]', "bad-size"),
        ('wte = file["wte"][0][0]', "bad-index"),
        ('wte = file["wte"]\n    wte = file["wte"]', "duplicate-name"),
    ],
)
def test_weights(line: str, slug: str) -> None:
    text = f'{TINY}weights w of tiny from "tiny.safetensors":\n    {line}\n'
    if slug:
        assert wrong(text) == [slug]
    else:
        (warning,) = right(text).diagnostics  # the others stay as drawn
        assert warning.slug == "unknown-site"


def test_weights_of_what_is_not_there() -> None:
    line = '    wte = file["wte"]\n'
    assert wrong(f'{TINY}weights w of tinny from "a.safetensors":\n{line}') == ["unknown-name"]
    assert wrong(f"{TINY}weights w of tiny from words:\n{line}") == ["bad-file"]


# ---- what is not built yet


def test_what_it_would_define_is_not_missed() -> None:
    text = experiment(
        """
        run a = tiny
        sweep heads over l in layer:
            run b = svd(a)
            mean[b, t, vocab](a.logits)
        expect correlation[l](heads, heads) > 0.5
        """
    )
    assert wrong(text) == ["unbuilt"]
    text = TINY + (
        "calibrate limits of tiny on words for 8 batches:\n    tau[m] = mean[b, t](layer[0].ffn.act)\n"
        "intervention sparse on tiny with limits:\n    layer[*].ffn.act = where(it > tau, it, 0)\n"
        "intervention named on tiny:\n    layer[*].ffn.act = where(it > limits.tau, it, 0)\n"
        "verify robust of nothing:\n    prove forall c != 0: logits > 0\n"
    )
    assert wrong(text) == ["unbuilt", "unknown-name"]


@pytest.mark.parametrize(
    "body",
    [
        "during decode: layer[0].mid = 0",
        "during decode 2..4:\n    layer[0].mid[t >= 3] += 1\n    layer[1].mid = 0",
        "during prefill: layer[0].mid = 0\nduring decode: layer[0].mid = 1",
        "during decode:\n    during decode 0..3: layer[0].mid = 0",
    ],
)
def test_writes_during_a_phase(body: str) -> None:
    right(intervention(body))


@pytest.mark.parametrize(
    "body",
    [
        "run a = decode(prompt = words.tokens, steps = 4)\nshow a.tokens, text(a.tokens)",
        'run a = decode(prompt = text("a"), steps = 4, samples = 2)\nx = mean[sample](a.tokens)',
        "run a = decode(prompt = words.tokens, steps = 4) with layer[0].x = 0\nshow a.tokens",
        "run a = decode(prompt = words.tokens[t = 0..2], steps = 4) with steer(l = 1)\n"
        "expect mean[b, t](a.tokens) > 0",
        "sweep s over k in 0..3, l in 0..2:\n"
        "    run a = decode(prompt = words.tokens, steps = 4, seed = k) with layer[l].mid *= k\n"
        "    mean[b, t](a.tokens)",
    ],
)
def test_runs_that_decode(body: str) -> None:
    found = right(experiment(body, before=STEER)).experiments["e"]
    assert [plan.name for plan in found.decodes] == ["a"]


def test_sites_of_an_experiment_have_their_axes() -> None:
    found = right(experiment("run a = tiny\nshow a.layer[1].attn.z"))
    assert axes(found.experiments["e"].model, "layer[1].attn.z")["h"] == "2"
