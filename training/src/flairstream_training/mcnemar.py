"""McNemar's test: do two classifiers differ in how often they are right on the same rows?"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest


def p_value(first: Sequence[bool], second: Sequence[bool]) -> float:
    """How probable so uneven a share of the rows that only one gets right is, where both are equally good.

    Exact and two-sided, from the binomial distribution; 1 where they are right on the same rows. first and second say
    for each row whether that classifier is right (https://doi.org/10.1007/BF02295996).
    """
    one, other = np.asarray(first, bool), np.asarray(second, bool)
    only_one, only_other = int((one & ~other).sum()), int((other & ~one).sum())
    if only_one + only_other == 0:
        return 1.0
    return float(binomtest(only_one, only_one + only_other).pvalue)
