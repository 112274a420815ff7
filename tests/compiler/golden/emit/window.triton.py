@triton.jit(do_not_specialize=["T", "S"])
def contraction_here(
    x0,
    x1,
    x2,
    z,
    total,
    T,
    S,
    n_l0,
    n_l1,
    x0_l0,
    x0_l1,
    x0_t,
    x0_k,
    x1_l0,
    x1_l1,
    x1_s,
    x1_k,
    x2_l0,
    x2_l1,
    x2_s,
    x2_v,
    z_l0,
    z_l1,
    z_t,
    z_v,
    total_l0,
    total_l1,
    total_t,
    K: tl.constexpr,
    V: tl.constexpr,
    KP: tl.constexpr,
    VP: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    HELD: tl.constexpr,
    PRECISION: tl.constexpr,
):
    rest = tl.program_id(0)
    row = rest % tl.cdiv(T, ROWS) * ROWS
    rest = rest // tl.cdiv(T, ROWS)
    l1 = (rest % n_l1).to(tl.int64)
    rest = rest // n_l1
    l0 = (rest % n_l0).to(tl.int64)
    rest = rest // n_l0
    p_x0 = x0 + l0 * x0_l0 + l1 * x0_l1
    p_x1 = x1 + l0 * x1_l0 + l1 * x1_l1
    p_x2 = x2 + l0 * x2_l0 + l1 * x2_l1
    p_z = z + l0 * z_l0 + l1 * z_l1
    p_total = total + l0 * total_l0 + l1 * total_l1
    i_k = tl.arange(0, KP)
    i_v = tl.arange(0, VP)
    i_t = tl.arange(0, ROWS)
    i_s = tl.arange(0, COLUMNS)
    t0 = row
    at_t = row + i_t
    there_t = at_t < T
    last_row = tl.minimum(row + ROWS, T) - 1
    # these rows see columns from lo up to hi, and all from first up to last
    lo = row * 0
    hi = lo + S
    first = lo
    last = hi
    hi = tl.minimum(hi, -(-1 * last_row) + 1)
    lo = tl.maximum(lo, row + -8)
    last = tl.minimum(last, -(-1 * row) + 1)
    first = tl.maximum(first, last_row + -8)
    lo = (tl.maximum(lo, 0) // COLUMNS * COLUMNS).to(tl.int32)
    hi = tl.minimum(hi, S).to(tl.int32)
    first = (tl.cdiv(tl.maximum(first, lo), COLUMNS) * COLUMNS).to(tl.int32)
    last = tl.maximum(tl.minimum(last, hi) // COLUMNS * COLUMNS, first).to(tl.int32)
    a = block(p_x0 + tl.cast(t0, tl.int64) * x0_t + (i_t[:, None] * x0_t + i_k[None, :] * x0_k), there_t, i_k < K, False, K == KP, HELD)
    o = tl.zeros([ROWS, VP], tl.float32)
    most = tl.full([ROWS], float("-inf"), tl.float32)
    sums = tl.zeros([ROWS], tl.float32)
    for part in tl.static_range(0, 3):
        # before the blocks that are seen wholly, these, and behind them
        if part == 0:
            begin = lo
            end = tl.minimum(first, hi)
        elif part == 1:
            begin = first
            end = last
        else:
            begin = last
            end = hi
        for s0 in tl.range(begin, end, COLUMNS):
            at_s = s0 + i_s
            there_s = at_s < S
            there = there_t[:, None] & there_s[None, :]
            b = block(p_x1 + tl.cast(s0, tl.int64) * x1_s + (i_s[:, None] * x1_s + i_k[None, :] * x1_k), there_s, i_k < K, part == 1, K == KP, HELD)
            d = block(p_x2 + tl.cast(s0, tl.int64) * x2_s + (i_s[:, None] * x2_s + i_v[None, :] * x2_v), there_s, i_v < V, part == 1, V == VP, HELD)
            x = tl.dot(a, tl.trans(b), input_precision=PRECISION)
            x_x6 = at_s[None, :] <= at_t[:, None]
            x_x6_seen = x_x6 if part != 1 else tl.full([ROWS, COLUMNS], True, tl.int1)
            x_x7 = at_t[:, None] - at_s[None, :]
            x_x9 = x_x7 < 9
            x_x9_seen = x_x9 if part != 1 else tl.full([ROWS, COLUMNS], True, tl.int1)
            x_x10 = x_x6_seen & x_x9_seen
            x_x12 = tl.where(x_x10, x, float('-inf'))
            weight = x_x12
            if part != 1:
                weight = tl.where(there, weight, float("-inf"))
            # what was summed so far is below the largest score so far
            now = tl.maximum(most, tl.max(weight, 1))
            least = tl.where(now == float("-inf"), 0.0, now)
            weight = tl.exp(weight - least[:, None])
            scale = tl.exp(most - least)
            sums = sums * scale + tl.sum(weight, 1)
            o = o * scale[:, None]
            most = now
            o = tl.dot(weight.to(d.dtype), d, acc=o, input_precision=PRECISION)
    held = tl.where(sums == 0, 1.0, sums)
    logs = tl.where(sums == 0, float("-inf"), most + tl.log(held))
    o = o / held[:, None]
    tl.store(p_total + tl.cast(at_t, tl.int64) * total_t, logs, mask=there_t)
    tl.store(p_z + tl.cast(t0, tl.int64) * z_t + (i_t[:, None] * z_t + i_v[None, :] * z_v), o, mask=there_t[:, None] & (i_v < V)[None, :])


@triton.jit(do_not_specialize=["T", "S"])
def contraction_here(
    x0,
    x1,
    x2,
    z,
    came_z,
    total,
    came_total,
    gap,
    d_x0,
    T,
    S,
    n_l0,
    n_l1,
    x0_l0,
    x0_l1,
    x0_t,
    x0_k,
    x1_l0,
    x1_l1,
    x1_s,
    x1_k,
    x2_l0,
    x2_l1,
    x2_s,
    x2_v,
    z_l0,
    z_l1,
    z_t,
    z_v,
    came_z_l0,
    came_z_l1,
    came_z_t,
    came_z_v,
    total_l0,
    total_l1,
    total_t,
    came_total_l0,
    came_total_l1,
    came_total_t,
    gap_l0,
    gap_l1,
    gap_t,
    d_x0_l0,
    d_x0_l1,
    d_x0_t,
    d_x0_k,
    K: tl.constexpr,
    V: tl.constexpr,
    KP: tl.constexpr,
    VP: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    HELD: tl.constexpr,
    PRECISION: tl.constexpr,
):
    rest = tl.program_id(0)
    row = rest % tl.cdiv(T, ROWS) * ROWS
    rest = rest // tl.cdiv(T, ROWS)
    l1 = (rest % n_l1).to(tl.int64)
    rest = rest // n_l1
    l0 = (rest % n_l0).to(tl.int64)
    rest = rest // n_l0
    p_x0 = x0 + l0 * x0_l0 + l1 * x0_l1
    p_x1 = x1 + l0 * x1_l0 + l1 * x1_l1
    p_x2 = x2 + l0 * x2_l0 + l1 * x2_l1
    p_z = z + l0 * z_l0 + l1 * z_l1
    p_came_z = came_z + l0 * came_z_l0 + l1 * came_z_l1
    p_total = total + l0 * total_l0 + l1 * total_l1
    p_came_total = came_total + l0 * came_total_l0 + l1 * came_total_l1
    p_gap = gap + l0 * gap_l0 + l1 * gap_l1
    p_d_x0 = d_x0 + l0 * d_x0_l0 + l1 * d_x0_l1
    i_k = tl.arange(0, KP)
    i_v = tl.arange(0, VP)
    i_t = tl.arange(0, ROWS)
    i_s = tl.arange(0, COLUMNS)
    t0 = row
    at_t = row + i_t
    there_t = at_t < T
    last_row = tl.minimum(row + ROWS, T) - 1
    # these rows see columns from lo up to hi, and all from first up to last
    lo = row * 0
    hi = lo + S
    first = lo
    last = hi
    hi = tl.minimum(hi, -(-1 * last_row) + 1)
    lo = tl.maximum(lo, row + -8)
    last = tl.minimum(last, -(-1 * row) + 1)
    first = tl.maximum(first, last_row + -8)
    lo = (tl.maximum(lo, 0) // COLUMNS * COLUMNS).to(tl.int32)
    hi = tl.minimum(hi, S).to(tl.int32)
    first = (tl.cdiv(tl.maximum(first, lo), COLUMNS) * COLUMNS).to(tl.int32)
    last = tl.maximum(tl.minimum(last, hi) // COLUMNS * COLUMNS, first).to(tl.int32)
    a = block(p_x0 + tl.cast(t0, tl.int64) * x0_t + (i_t[:, None] * x0_t + i_k[None, :] * x0_k), there_t, i_k < K, False, K == KP, HELD)
    c = block(p_came_z + tl.cast(t0, tl.int64) * came_z_t + (i_t[:, None] * came_z_t + i_v[None, :] * came_z_v), there_t, i_v < V, False, V == VP, HELD)
    held = block(p_z + tl.cast(t0, tl.int64) * z_t + (i_t[:, None] * z_t + i_v[None, :] * z_v), there_t, i_v < V, False, V == VP, HELD)
    offset = tl.sum(c.to(tl.float32) * held.to(tl.float32), 1) - tl.load(p_came_total + tl.cast(at_t, tl.int64) * came_total_t, mask=there_t, other=0.0)
    tl.store(p_gap + tl.cast(at_t, tl.int64) * gap_t, offset, mask=there_t)
    level = tl.load(p_total + tl.cast(at_t, tl.int64) * total_t, mask=there_t, other=float("inf"))
    level = tl.where(level == float("-inf"), 0.0, level)
    d_a = tl.zeros([ROWS, KP], tl.float32)
    for part in tl.static_range(0, 3):
        # before the blocks that are seen wholly, these, and behind them
        if part == 0:
            begin = lo
            end = tl.minimum(first, hi)
        elif part == 1:
            begin = first
            end = last
        else:
            begin = last
            end = hi
        for s0 in tl.range(begin, end, COLUMNS):
            at_s = s0 + i_s
            there_s = at_s < S
            there = there_t[:, None] & there_s[None, :]
            b = block(p_x1 + tl.cast(s0, tl.int64) * x1_s + (i_s[:, None] * x1_s + i_k[None, :] * x1_k), there_s, i_k < K, part == 1, K == KP, HELD)
            d = block(p_x2 + tl.cast(s0, tl.int64) * x2_s + (i_s[:, None] * x2_s + i_v[None, :] * x2_v), there_s, i_v < V, part == 1, V == VP, HELD)
            x = tl.dot(a, tl.trans(b), input_precision=PRECISION)
            change = tl.dot(c, tl.trans(d), input_precision=PRECISION)
            x_x6 = at_s[None, :] <= at_t[:, None]
            x_x6_seen = x_x6 if part != 1 else tl.full([ROWS, COLUMNS], True, tl.int1)
            x_x7 = at_t[:, None] - at_s[None, :]
            x_x9 = x_x7 < 9
            x_x9_seen = x_x9 if part != 1 else tl.full([ROWS, COLUMNS], True, tl.int1)
            x_x10 = x_x6_seen & x_x9_seen
            x_x12 = tl.where(x_x10, x, float('-inf'))
            weight = x_x12
            weight = tl.exp(weight - level[:, None])
            if part != 1:
                weight = tl.where(there, weight, 0.0)
            change = weight * (change - offset[:, None])
            x_d2 = tl.where(x_x10, change, 0.0)
            slope = x_d2
            if part != 1:
                slope = tl.where(there, slope, 0.0)
            d_a = tl.dot(slope.to(b.dtype), b, acc=d_a, input_precision=PRECISION)
    tl.store(p_d_x0 + tl.cast(t0, tl.int64) * d_x0_t + (i_t[:, None] * d_x0_t + i_k[None, :] * d_x0_k), d_a, mask=there_t[:, None] & (i_k < K)[None, :])


@triton.jit(do_not_specialize=["T", "S"])
def contraction_here(
    x0,
    x1,
    x2,
    came_z,
    total,
    gap,
    d_x1,
    d_x2,
    T,
    S,
    n_l0,
    n_l1,
    x0_l0,
    x0_l1,
    x0_t,
    x0_k,
    x1_l0,
    x1_l1,
    x1_s,
    x1_k,
    x2_l0,
    x2_l1,
    x2_s,
    x2_v,
    came_z_l0,
    came_z_l1,
    came_z_t,
    came_z_v,
    total_l0,
    total_l1,
    total_t,
    gap_l0,
    gap_l1,
    gap_t,
    d_x1_l0,
    d_x1_l1,
    d_x1_s,
    d_x1_k,
    d_x2_l0,
    d_x2_l1,
    d_x2_s,
    d_x2_v,
    K: tl.constexpr,
    V: tl.constexpr,
    KP: tl.constexpr,
    VP: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    HELD: tl.constexpr,
    PRECISION: tl.constexpr,
):
    rest = tl.program_id(0)
    row = rest % tl.cdiv(S, ROWS) * ROWS
    rest = rest // tl.cdiv(S, ROWS)
    l1 = (rest % n_l1).to(tl.int64)
    rest = rest // n_l1
    l0 = (rest % n_l0).to(tl.int64)
    rest = rest // n_l0
    p_x0 = x0 + l0 * x0_l0 + l1 * x0_l1
    p_x1 = x1 + l0 * x1_l0 + l1 * x1_l1
    p_x2 = x2 + l0 * x2_l0 + l1 * x2_l1
    p_came_z = came_z + l0 * came_z_l0 + l1 * came_z_l1
    p_total = total + l0 * total_l0 + l1 * total_l1
    p_gap = gap + l0 * gap_l0 + l1 * gap_l1
    p_d_x1 = d_x1 + l0 * d_x1_l0 + l1 * d_x1_l1
    p_d_x2 = d_x2 + l0 * d_x2_l0 + l1 * d_x2_l1
    i_k = tl.arange(0, KP)
    i_v = tl.arange(0, VP)
    i_s = tl.arange(0, ROWS)
    i_t = tl.arange(0, COLUMNS)
    s0 = row
    at_s = row + i_s
    there_s = at_s < S
    last_row = tl.minimum(row + ROWS, S) - 1
    # these rows see columns from lo up to hi, and all from first up to last
    lo = row * 0
    hi = lo + T
    first = lo
    last = hi
    lo = tl.maximum(lo, row)
    hi = tl.minimum(hi, -(-1 * last_row + -8) + 1)
    first = tl.maximum(first, last_row)
    last = tl.minimum(last, -(-1 * row + -8) + 1)
    lo = (tl.maximum(lo, 0) // COLUMNS * COLUMNS).to(tl.int32)
    hi = tl.minimum(hi, T).to(tl.int32)
    first = (tl.cdiv(tl.maximum(first, lo), COLUMNS) * COLUMNS).to(tl.int32)
    last = tl.maximum(tl.minimum(last, hi) // COLUMNS * COLUMNS, first).to(tl.int32)
    a = block(p_x1 + tl.cast(s0, tl.int64) * x1_s + (i_s[:, None] * x1_s + i_k[None, :] * x1_k), there_s, i_k < K, False, K == KP, HELD)
    c = block(p_x2 + tl.cast(s0, tl.int64) * x2_s + (i_s[:, None] * x2_s + i_v[None, :] * x2_v), there_s, i_v < V, False, V == VP, HELD)
    d_a = tl.zeros([ROWS, KP], tl.float32)
    d_c = tl.zeros([ROWS, VP], tl.float32)
    for part in tl.static_range(0, 3):
        # before the blocks that are seen wholly, these, and behind them
        if part == 0:
            begin = lo
            end = tl.minimum(first, hi)
        elif part == 1:
            begin = first
            end = last
        else:
            begin = last
            end = hi
        for t0 in tl.range(begin, end, COLUMNS):
            at_t = t0 + i_t
            there_t = at_t < T
            there = there_s[:, None] & there_t[None, :]
            b = block(p_x0 + tl.cast(t0, tl.int64) * x0_t + (i_t[:, None] * x0_t + i_k[None, :] * x0_k), there_t, i_k < K, part == 1, K == KP, HELD)
            d = block(p_came_z + tl.cast(t0, tl.int64) * came_z_t + (i_t[:, None] * came_z_t + i_v[None, :] * came_z_v), there_t, i_v < V, part == 1, V == VP, HELD)
            offset = tl.load(p_gap + tl.cast(at_t, tl.int64) * gap_t, mask=there_t, other=0.0)
            level = tl.load(p_total + tl.cast(at_t, tl.int64) * total_t, mask=there_t, other=float("inf"))
            level = tl.where(level == float("-inf"), 0.0, level)
            x = tl.dot(a, tl.trans(b), input_precision=PRECISION)
            change = tl.dot(c, tl.trans(d), input_precision=PRECISION)
            x_x6 = at_s[:, None] <= at_t[None, :]
            x_x6_seen = x_x6 if part != 1 else tl.full([ROWS, COLUMNS], True, tl.int1)
            x_x7 = at_t[None, :] - at_s[:, None]
            x_x9 = x_x7 < 9
            x_x9_seen = x_x9 if part != 1 else tl.full([ROWS, COLUMNS], True, tl.int1)
            x_x10 = x_x6_seen & x_x9_seen
            x_x12 = tl.where(x_x10, x, float('-inf'))
            weight = x_x12
            weight = tl.exp(weight - level[None, :])
            if part != 1:
                weight = tl.where(there, weight, 0.0)
            change = weight * (change - offset[None, :])
            x_d2 = tl.where(x_x10, change, 0.0)
            slope = x_d2
            if part != 1:
                slope = tl.where(there, slope, 0.0)
            d_c = tl.dot(weight.to(d.dtype), d, acc=d_c, input_precision=PRECISION)
            d_a = tl.dot(slope.to(b.dtype), b, acc=d_a, input_precision=PRECISION)
    tl.store(p_d_x1 + tl.cast(s0, tl.int64) * d_x1_s + (i_s[:, None] * d_x1_s + i_k[None, :] * d_x1_k), d_a, mask=there_s[:, None] & (i_k < K)[None, :])
    tl.store(p_d_x2 + tl.cast(s0, tl.int64) * d_x2_s + (i_s[:, None] * d_x2_s + i_v[None, :] * d_x2_v), d_c, mask=there_s[:, None] & (i_v < V)[None, :])
