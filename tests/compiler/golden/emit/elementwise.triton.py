@triton.jit(do_not_specialize=["T"])
def scan_here(
    first_0,
    given_1,
    given_2,
    last_3,
    output_4,
    kept_5,
    T,
    n_b,
    s_first_0_d,
    s_first_0_b,
    s_given_1_t,
    s_given_1_b,
    s_given_1_d,
    s_given_2_t,
    s_given_2_b,
    s_given_2_d,
    s_last_3_d,
    s_last_3_b,
    s_output_4_t,
    s_output_4_b,
    s_output_4_d,
    s_kept_5_c_chunk,
    s_kept_5_d,
    s_kept_5_b,
    PRECISION: tl.constexpr,
    KEEP: tl.constexpr,
):
    rest = tl.program_id(0)
    block = rest % tl.cdiv(64, 32)
    rest = rest // tl.cdiv(64, 32)
    at_d = block * 32 + tl.arange(0, 32)
    l_b = (rest % n_b).to(tl.int64)
    rest = rest // n_b
    p_first_0 = first_0 + l_b * s_first_0_b
    p_given_1 = given_1 + l_b * s_given_1_b
    p_given_2 = given_2 + l_b * s_given_2_b
    p_last_3 = last_3 + l_b * s_last_3_b
    p_output_4 = output_4 + l_b * s_output_4_b
    p_kept_5 = kept_5 + l_b * s_kept_5_b
    carry_0 = tl.load(p_first_0 + (at_d * s_first_0_d)).to(tl.float32)
    for i in tl.range(0, T, num_stages=4, disable_licm=True):
        t = tl.cast(i, tl.int64)
        v_given_1 = tl.load(p_given_1 + t * s_given_1_t + (at_d * s_given_1_d)).to(tl.float32)
        v_given_2 = tl.load(p_given_2 + t * s_given_2_t + (at_d * s_given_2_d)).to(tl.float32)
        if KEEP:
            tl.store(p_kept_5 + tl.cast(i, tl.int64) * s_kept_5_c_chunk + (at_d * s_kept_5_d), carry_0)
        x_v6 = v_given_1 * carry_0
        x_v8 = x_v6 + v_given_2
        tl.store(p_output_4 + t * s_output_4_t + (at_d * s_output_4_d), x_v8)
        next_0 = x_v8
        carry_0 = next_0
    tl.store(p_last_3 + (at_d * s_last_3_d), carry_0)
@triton.jit(do_not_specialize=["T"])
def scan_here(
    check_0,
    given_1,
    given_2,
    came_3,
    came_4,
    gone_5,
    gone_6,
    gone_7,
    T,
    n_b,
    s_check_0_c_chunk,
    s_check_0_d,
    s_check_0_b,
    s_given_1_t,
    s_given_1_b,
    s_given_1_d,
    s_given_2_t,
    s_given_2_b,
    s_given_2_d,
    s_came_3_b,
    s_came_3_d,
    s_came_4_t,
    s_came_4_b,
    s_came_4_d,
    s_gone_5_b,
    s_gone_5_d,
    s_gone_6_t,
    s_gone_6_b,
    s_gone_6_d,
    s_gone_7_t,
    s_gone_7_b,
    s_gone_7_d,
    PRECISION: tl.constexpr,
):
    rest = tl.program_id(0)
    block = rest % tl.cdiv(64, 32)
    rest = rest // tl.cdiv(64, 32)
    at_d = block * 32 + tl.arange(0, 32)
    l_b = (rest % n_b).to(tl.int64)
    rest = rest // n_b
    p_check_0 = check_0 + l_b * s_check_0_b
    p_given_1 = given_1 + l_b * s_given_1_b
    p_given_2 = given_2 + l_b * s_given_2_b
    p_came_3 = came_3 + l_b * s_came_3_b
    p_came_4 = came_4 + l_b * s_came_4_b
    p_gone_5 = gone_5 + l_b * s_gone_5_b
    p_gone_6 = gone_6 + l_b * s_gone_6_b
    p_gone_7 = gone_7 + l_b * s_gone_7_b
    carry_0 = tl.load(p_came_3 + (at_d * s_came_3_d)).to(tl.float32)
    for back in tl.range(0, T, num_stages=4, disable_licm=True):
        i = T - 1 - back
        t = tl.cast(i, tl.int64)
        v_check_0 = tl.load(p_check_0 + tl.cast(i, tl.int64) * s_check_0_c_chunk + (at_d * s_check_0_d)).to(tl.float32)
        v_given_1 = tl.load(p_given_1 + t * s_given_1_t + (at_d * s_given_1_d)).to(tl.float32)
        v_given_2 = tl.load(p_given_2 + t * s_given_2_t + (at_d * s_given_2_d)).to(tl.float32)
        v_came_4 = tl.load(p_came_4 + t * s_came_4_t + (at_d * s_came_4_d)).to(tl.float32)
        x_d2 = carry_0 + v_came_4
        x_d3 = x_d2 * v_check_0
        x_d4 = v_given_1 * x_d2
        tl.store(p_gone_6 + t * s_gone_6_t + (at_d * s_gone_6_d), x_d3)
        tl.store(p_gone_7 + t * s_gone_7_t + (at_d * s_gone_7_d), x_d2)
        next_0 = x_d4
        carry_0 = next_0
    tl.store(p_gone_5 + (at_d * s_gone_5_d), carry_0)
