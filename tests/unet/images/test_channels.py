from __future__ import annotations

from unet.images.channels import fits, is_stacked, stored_rows


def test_gray_and_rgb_are_stored_as_they_are() -> None:
    assert [is_stacked(n) for n in (1, 2, 3, 4)] == [False, True, False, True]
    assert [stored_rows(5, n) for n in (1, 2, 3, 4)] == [5, 10, 5, 20]


def test_gray_and_rgb_fit_each_other_and_others_only_themselves() -> None:
    pairs = [(1, 3), (3, 1), (4, 4), (1, 4), (4, 3), (2, 4)]
    assert [fits(*pair) for pair in pairs] == [True, True, True, False, False, False]
