/* Black-Scholes-Merton for many options, in loops that a compiler turns into vector instructions.

   Owns: the arithmetic of `domain.pricing.batch` in C: price, delta, gamma, vega, theta, rho of each option, from columns of
   doubles into columns of doubles. Nothing branches on an option, so that 2, 4 or 8 of them go through at once.
   Assumes: every column has `count` entries and no two of them overlap.
   Guarantees: as the plain code to 1e-13 of the larger of spot and strike. Options that need more care (no time or no
   volatility, numbers beyond bounds, numbers that are none) get any figures, and are counted: who calls must do them over.

   Sources: exp and log by reduction to a small interval and a polynomial; the normal distribution by J. F. Hart's rational
   approximation as G. West gives it (Better Approximations to Cumulative Normal Functions, 2005). */

#include <math.h>
#include <stdint.h>
#include <string.h>

#define PKS_ALWAYS static inline __attribute__((always_inline))

PKS_ALWAYS double pks_as_double(uint64_t bits) { double x; memcpy(&x, &bits, sizeof x); return x; }
PKS_ALWAYS uint64_t pks_as_bits(double x) { uint64_t bits; memcpy(&bits, &x, sizeof bits); return bits; }

/* e^x for x up to 709; below -708 it is e^-708, which is nearly nothing. */
PKS_ALWAYS double pks_exp(double x) {
    const double shift = 0x1.8p52;
    x = x < -708.0 ? -708.0 : x;
    x = x > 709.0 ? 709.0 : x;
    double shifted = x * 0x1.71547652b82fep+0 + shift;
    double n = shifted - shift;
    double r = x - n * 0x1.62e42fefa3800p-1;
    r = r - n * 0x1.ef35793c76730p-45;
    double p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    /* n stands in the low bits of `shifted`: with the bias of exponents added, it is the exponent of 2^n. */
    return p * pks_as_double((pks_as_bits(shifted) + 1023) << 52);
}

/* ln x for normal x above 0. */
PKS_ALWAYS double pks_log(double x) {
    uint64_t bits = pks_as_bits(x);
    double exponent = pks_as_double((bits >> 52) | 0x4330000000000000u) - (0x1p52 + 1023.0);
    double z = pks_as_double((bits & 0x000fffffffffffffu) | 0x3ff0000000000000u);
    int large = z > 0x1.6a09e667f3bcdp+0;
    z = large ? 0.5 * z : z;
    exponent = large ? exponent + 1.0 : exponent;
    double s = (z - 1.0) / (z + 1.0);
    double w = s * s;
    double p = 1.0 / 21.0;
    p = p * w + 1.0 / 19.0;
    p = p * w + 1.0 / 17.0;
    p = p * w + 1.0 / 15.0;
    p = p * w + 1.0 / 13.0;
    p = p * w + 1.0 / 11.0;
    p = p * w + 1.0 / 9.0;
    p = p * w + 1.0 / 7.0;
    p = p * w + 1.0 / 5.0;
    p = p * w + 1.0 / 3.0;
    double small = 2.0 * s + 2.0 * s * w * p;
    return exponent * 0x1.62e42fefa3800p-1 + (small + exponent * 0x1.ef35793c76730p-45);
}

/* N(x), where `e` is e^(-x^2/2). */
PKS_ALWAYS double pks_normal(double x, double e) {
    double a = fabs(x);
    a = a > 40.0 ? 40.0 : a;
    double p = 3.52624965998911e-02;
    p = p * a + 0.700383064443688;
    p = p * a + 6.37396220353165;
    p = p * a + 33.912866078383;
    p = p * a + 112.079291497871;
    p = p * a + 221.213596169931;
    p = p * a + 220.206867912376;
    double q = 8.83883476483184e-02;
    q = q * a + 1.75566716318264;
    q = q * a + 16.064177579207;
    q = q * a + 86.7807322029461;
    q = q * a + 296.564248779674;
    q = q * a + 637.333633378831;
    q = q * a + 793.826512519948;
    q = q * a + 440.413735824752;
    double tail = e * p / q;
    return x > 0.0 ? 1.0 - tail : tail;
}

/* The loop. Returns how many options need more care. */
PKS_ALWAYS int64_t pks_black_loop(
    int64_t count, const double *restrict sign, const double *restrict spot, const double *restrict strike,
    const double *restrict rate, const double *restrict dividend_yield, const double *restrict volatility,
    const double *restrict time, double *restrict price, double *restrict delta, double *restrict gamma,
    double *restrict vega, double *restrict theta, double *restrict rho
) {
    int64_t careful = 0;
    for (int64_t i = 0; i < count; i++) {
        double c = sign[i], s = spot[i], k = strike[i], r = rate[i], y = dividend_yield[i], v = volatility[i];
        double t = time[i];
        double root = sqrt(t), deviation = v * root, ratio = s / k, inverse = 1.0 / deviation;
        double rt = r * t, yt = y * t;
        int usual = (deviation > 1e-100) & (deviation < 1e100) & (ratio > 1e-250) & (ratio < 1e250) & (s > 1e-250)
            & (s < 1e250) & (fabs(rt) < 500.0) & (fabs(yt) < 500.0) & (t < 1e100) & (fabs(c) == 1.0);
        careful += !usual;
        double held = s * pks_exp(-yt), discount = pks_exp(-rt), paid = k * discount;
        double d1 = (pks_log(ratio) + (rt - yt)) * inverse + 0.5 * deviation, d2 = d1 - deviation;
        double e1 = pks_exp(-0.5 * d1 * d1), e2 = pks_exp(-0.5 * d2 * d2);
        double n1 = pks_normal(c * d1, e1), n2 = pks_normal(c * d2, e2);
        /* held x n(d1): what gamma, vega and the decay of theta have in common. */
        double density = fabs(d1) < 37.0 ? held * e1 * 0x1.9884533d43651p-2 : 0.0;
        double value = c * (held * n1 - paid * n2);
        price[i] = value > 0.0 ? value : 0.0;
        delta[i] = c * (held / s) * n1;
        gamma[i] = density * inverse / (s * s);
        vega[i] = density * root;
        theta[i] = c * (y * held * n1 - r * paid * n2) - 0.5 * density * v * v * inverse;
        rho[i] = c * paid * t * n2;
    }
    return careful;
}

#define PKS_BLACK_ARGUMENTS \
    int64_t count, const double *sign, const double *spot, const double *strike, const double *rate, \
    const double *dividend_yield, const double *volatility, const double *time, double *price, double *delta, \
    double *gamma, double *vega, double *theta, double *rho
#define PKS_BLACK_GIVEN \
    count, sign, spot, strike, rate, dividend_yield, volatility, time, price, delta, gamma, vega, theta, rho

static int64_t pks_black_plain(PKS_BLACK_ARGUMENTS) { return pks_black_loop(PKS_BLACK_GIVEN); }

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)

__attribute__((target("avx2,fma")))
static int64_t pks_black_avx2(PKS_BLACK_ARGUMENTS) { return pks_black_loop(PKS_BLACK_GIVEN); }

__attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma,prefer-vector-width=512")))
static int64_t pks_black_avx512(PKS_BLACK_ARGUMENTS) { return pks_black_loop(PKS_BLACK_GIVEN); }

/* How many options at once this processor can take: 8, 4 or 2. */
static int pks_black_width(void) {
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512bw"))
        return 8;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 4 : 2;
}

static int64_t pks_black(int width, PKS_BLACK_ARGUMENTS) {
    if (width >= 8)
        return pks_black_avx512(PKS_BLACK_GIVEN);
    return width >= 4 ? pks_black_avx2(PKS_BLACK_GIVEN) : pks_black_plain(PKS_BLACK_GIVEN);
}

#else

static int pks_black_width(void) { return 2; }

static int64_t pks_black(int width, PKS_BLACK_ARGUMENTS) {
    (void)width;
    return pks_black_plain(PKS_BLACK_GIVEN);
}

#endif
