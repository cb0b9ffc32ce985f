import pytest

from flairstream_training import mcnemar


def test_rows_that_both_get_right_or_wrong_say_nothing():
    assert mcnemar.p_value([True, False] * 50, [True, False] * 50) == 1
    some, others = [True] * 9 + [False], [False] + [True] * 9
    assert mcnemar.p_value(some, others) == mcnemar.p_value([*some, *[True] * 99], [*others, *[True] * 99]) == 1


def test_it_is_the_exact_binomial_test():
    """Ten rows are right in one only, nine of them in the first: 2 * (1 + 10) / 2**10."""
    first, second = [True] * 9 + [False], [False] * 9 + [True]
    assert mcnemar.p_value(first, second) == pytest.approx(22 / 1024)
    assert mcnemar.p_value(second, first) == pytest.approx(22 / 1024)
