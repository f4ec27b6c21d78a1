import numpy as np

from tomoe_explore.kernels.pixels import bad_and_saturated, listed


def test_bad_and_saturated_pixels_are_listed_as_numpy_finds_them():
    rng = np.random.default_rng(1)
    mask = rng.choice([0, 1, 2, 3], (70, 333), p=[0.9, 0.05, 0.03, 0.02]).astype(np.uint8)
    mask[20:30] = 0
    image = rng.normal(0, 1, mask.shape).astype(np.float32)
    image[25, 3], image[26, 200], image[27, 332] = np.nan, np.inf, -np.inf
    bad_rows, full_rows = bad_and_saturated(image, mask, (1, 2))
    expected = (mask & 1 > 0) | ~np.isfinite(image)
    for (start, columns), pixels in ((bad_rows, expected), (full_rows, (mask & 2 > 0) & ~expected)):
        y, x = np.nonzero(pixels)
        assert (columns == x).all()
        assert (np.diff(start) == np.bincount(y, minlength=70)).all()
        np.testing.assert_array_equal(listed((start, columns)), (y, x))
