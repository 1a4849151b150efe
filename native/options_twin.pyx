# cython: language_level=3, boundscheck=False, wraparound=False
"""`domain.pricing.batch.evaluate_plain`, compiled: the loop of `black.h` over columns of doubles.

Owns nothing; the columns are the caller's. Other threads of Python run meanwhile.
"""

from libc.stdint cimport int64_t

cdef extern from "black.h" nogil:
    int pks_black_width()
    int64_t pks_black(
        int, int64_t, const double *, const double *, const double *, const double *, const double *, const double *,
        const double *, double *, double *, double *, double *, double *, double *,
    )


def width() -> int:
    """How many options at once this processor can take: 8, 4 or 2."""
    return pks_black_width()


def evaluate(options, results, int width) -> int:
    """As `evaluate_plain`, `width` options at once; no more than `width()`."""
    cdef const double[::1] sign, spot, strike, rate, dividend_yield, volatility, time
    cdef double[::1] price, delta, gamma, vega, theta, rho
    sign, spot, strike, rate, dividend_yield, volatility, time = options
    price, delta, gamma, vega, theta, rho = results
    cdef int64_t count = spot.shape[0], careful
    if width > pks_black_width():
        raise ValueError(f"expected at most {pks_black_width()} options at once, found {width}")
    for column in (*options, *results):
        if len(column) != count:
            raise ValueError(f"expected columns of {count} options, found {len(column)}")
    if count == 0:
        return 0
    with nogil:
        careful = pks_black(
            width, count, &sign[0], &spot[0], &strike[0], &rate[0], &dividend_yield[0], &volatility[0], &time[0],
            &price[0], &delta[0], &gamma[0], &vega[0], &theta[0], &rho[0],
        )
    return careful
