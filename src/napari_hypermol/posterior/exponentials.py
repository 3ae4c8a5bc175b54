"""The exponential, written so that a loop over numbers has several of them in a vector register."""

import math
from typing import Any

import numpy as np

from napari_hypermol.loops import inlined

__all__ = ["exponential"]

_LOWEST = -700.0  # below it the exponential is no normal number
_MAGIC = 6755399441055744.0  # 1.5 * 2^52: what is added to it is rounded to a whole number
_PER_DOUBLING = 1 / math.log(2)
# ln 2 in two parts, of which the first has so few digits that its multiples are exact
_LN2, _LN2_REST = 0.693147180369123816490, 1.90821492927058770002e-10
_SERIES = tuple(1 / math.factorial(k) for k in range(13))
_BIAS, _EXPONENT = np.int64(1023), np.int64(52)  # of a double's bits


@inlined(fastmath={"contract"})
def exponential(x: Any) -> Any:
    """exp(x) of a float64 up to 700, to 2e-14 of itself; exp(-700) for all that is lower."""
    x = max(x, _LOWEST)
    shifted = x * _PER_DOUBLING + _MAGIC
    doublings = shifted - _MAGIC
    rest = (x - doublings * _LN2) - doublings * _LN2_REST  # within ln 2 / 2 of zero
    c, power = _SERIES, _SERIES[12]
    power = (((power * rest + c[11]) * rest + c[10]) * rest + c[9]) * rest + c[8]
    power = (power * rest + c[7]) * rest + c[6]
    power = (((power * rest + c[5]) * rest + c[4]) * rest + c[3]) * rest + c[2]
    power = (power * rest + c[1]) * rest + c[0]
    bits = (np.int64(np.float64(shifted).view(np.int64)) + _BIAS) << _EXPONENT
    return power * np.int64(bits).view(np.float64)
