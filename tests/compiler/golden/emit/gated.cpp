namespace {
template <int R>
void run_scan_here(void *const *p, const long *n, Arena &arena, long l_i_v, long l_i_b) {
  const long T = n[0];
  const long threads = n[1];
  const long every = n[2];
  const long n_0_b = n[3];
  const long s_first_0_0 = n[4];
  const long s_given_1_0 = n[5];
  const long s_given_1_1 = n[6];
  const long s_given_2_0 = n[7];
  const long s_given_2_1 = n[8];
  const long s_given_3_0 = n[9];
  const long s_given_3_1 = n[10];
  const long s_given_4_0 = n[11];
  const long s_given_4_1 = n[12];
  const long s_last_5_0 = n[13];
  const long s_output_6_0 = n[14];
  const long s_output_6_1 = n[15];
  const long s_kept_7_0 = n[16];
  const long s_kept_7_1 = n[17];
  arena.start(room<real>(pad(16) * 4));
  real *__restrict carry_0 = arena.take<real>(pad(16) * 4);
  const real *__restrict first_0 = (const real *)p[0] + l_i_v + l_i_b * s_first_0_0;
  const real *__restrict given_1_0 = (const real *)p[1] + l_i_b * s_given_1_1;
  const real *__restrict given_2_0 = (const real *)p[2] + l_i_b * s_given_2_1;
  const real *__restrict given_3_0 = (const real *)p[3] + l_i_v + l_i_b * s_given_3_1;
  const real *__restrict given_4_0 = (const real *)p[4] + l_i_b * s_given_4_1;
  real *__restrict last_5 = (real *)p[5] + l_i_v + l_i_b * s_last_5_0;
  real *__restrict output_6_0 = (real *)p[6] + l_i_v + l_i_b * s_output_6_1;
  real *__restrict kept_7_0 = (real *)p[7] + l_i_v + l_i_b * s_kept_7_1;
  for (long i_k = 0; i_k < 4; ++i_k) {
    for (long j = 0; j < 16; j += W) {
      store<true>(carry_0 + i_k * pad(16) + j, load<16 % W == 0>(first_0 + i_k * 16 + j, 16 - j), 16 - j);
    }
  }
  for (long i = 0; i < T; ++i) {
    const long t = i;
    (void)t;
    if (every && i % every == 0) {
      real *__restrict kept_7 = kept_7_0 + (i / every) * s_kept_7_0;
      for (long i_k = 0; i_k < 4; ++i_k) {
        for (long j = 0; j < 16; j += W) {
          store<16 % W == 0>(kept_7 + i_k * 16 + j, load<true>(carry_0 + i_k * pad(16) + j, 16 - j), 16 - j);
        }
      }
    }
    const real *__restrict given_1 = given_1_0 + t * s_given_1_0;
    const real *__restrict given_2 = given_2_0 + t * s_given_2_0;
    const real *__restrict given_3 = given_3_0 + t * s_given_3_0;
    const real *__restrict given_4 = given_4_0 + t * s_given_4_0;
    real *__restrict output_6 = output_6_0 + t * s_output_6_0;
    {
      over<side_by_side(1)>(16, [&](auto count, long j0) __attribute__((always_inline)) {
        constexpr int U = decltype(count)::value;
        vec sum_o_5[U];
        for (auto &one : sum_o_5) one = spread(real(0));
        vec x_3_here[U];
        #pragma GCC unroll 8
        for (int u = 0; u < U; ++u) {
          const long j = j0 + u * W;
          x_3_here[u] = load<16 % W == 0>(given_3 + j, 16 - j);
        }
        for (long i_k = 0; i_k < 4; ++i_k) {
          const vec x_1_here = spread(given_1[i_k]);
          const vec x_2_here = spread(given_2[i_k]);
          const vec x_4_here = spread(given_4[i_k]);
          #pragma GCC unroll 8
          for (int u = 0; u < U; ++u) {
            const long j = j0 + u * W;
            const vec x_0_here = load<true>(carry_0 + i_k * pad(16) + j, 16 - j);
            const vec mul_6 = x_1_here * x_0_here;
            const vec mul_7 = x_2_here * x_3_here[u];
            const vec S_8 = mul_6 + mul_7;
            sum_o_5[u] = sum_o_5[u] + x_4_here * S_8;
            store<true>(carry_0 + i_k * pad(16) + j, S_8, 16 - j);
          }
        }
        #pragma GCC unroll 8
        for (int u = 0; u < U; ++u) {
          const long j = j0 + u * W;
          store<16 % W == 0>(output_6 + j, sum_o_5[u], 16 - j);
        }
      });
    }
  }
  for (long i_k = 0; i_k < 4; ++i_k) {
    for (long j = 0; j < 16; j += W) {
      store<16 % W == 0>(last_5 + i_k * 16 + j, load<true>(carry_0 + i_k * pad(16) + j, 16 - j), 16 - j);
    }
  }
}
}  // namespace

extern "C" void scan_here(void *const *p, const long *n) {
  const long T = n[0];
  const long threads = n[1];
  const long every = n[2];
  const long n_0_b = n[3];
  const long s_first_0_0 = n[4];
  const long s_given_1_0 = n[5];
  const long s_given_1_1 = n[6];
  const long s_given_2_0 = n[7];
  const long s_given_2_1 = n[8];
  const long s_given_3_0 = n[9];
  const long s_given_3_1 = n[10];
  const long s_given_4_0 = n[11];
  const long s_given_4_1 = n[12];
  const long s_last_5_0 = n[13];
  const long s_output_6_0 = n[14];
  const long s_output_6_1 = n[15];
  const long s_kept_7_0 = n[16];
  const long s_kept_7_1 = n[17];
  const long c_l_i_v = (16 + 16 - 1) / 16;
  const long c_l_i_b = (n_0_b + 1 - 1) / 1;
  const long lanes = 1L * c_l_i_v * c_l_i_b;
#pragma omp parallel num_threads(std::max(1L, std::min(threads, lanes)))
  {
    Arena &arena = own_arena;
#pragma omp for schedule(static)
    for (long lane = 0; lane < lanes; ++lane) {
      long rest = lane;
      const long l_i_b = rest % c_l_i_b * 1;
      rest /= c_l_i_b;
      const long l_i_v = rest % c_l_i_v * 16;
      rest /= c_l_i_v;
      run_scan_here<1>(p, n, arena, l_i_v, l_i_b);
    }
  }
}
