"""Augmentation moves image and mask together, learns no padding, and the same seed does the same."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from unet.masks.labels import IGNORE
from unet.training import augmentation
from unet.training.augmentation import Patch
from unet.training.settings import STILL as UNCHANGED
from unet.training.settings import Augmentation

STILL = Augmentation(**{**UNCHANGED, "rotation": 0.0, "zoom": 0.0, "elastic_sigma": 0.0})
HALO = 4


def patch(top, left, side, height, width, border=0):
    """A patch of a tile whose outermost `border` pixels are padding."""
    return Patch(
        tf.constant(top), tf.constant(left), side, HALO,
        tf.constant([border, border]), tf.constant([height - border, width - border]),
    )  # fmt: skip


def tile(height=40, width=30, *, channels=1):
    """An image that is smooth enough for cubics, and a mask with the row and the column of each pixel."""
    rows, columns = np.indices((height, width))
    image = np.stack([np.sin(rows / 7 + i) + np.cos(columns / 5) for i in range(channels)], -1)
    mask = np.stack([rows, columns], -1).astype(np.uint8)
    return tf.constant(image, tf.float32), tf.constant(mask)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("top", "left"), [(0, 0), (20, 10), (7, 3)])
def test_a_cut_is_the_window_and_its_center(top, left, channels):
    image, mask = tile(channels=channels)
    x, y = augmentation.cut(image, mask, patch(top, left, 20, 40, 30))
    np.testing.assert_array_equal(x, image[top : top + 20, left : left + 20])
    np.testing.assert_array_equal(y, mask[top + HALO : top + 16, left + HALO : left + 16])


@pytest.mark.parametrize(("top", "left"), [(0, 0), (20, 10), (7, 3)])
@pytest.mark.parametrize("border", [0, 6])
def test_a_warp_of_no_strength_is_a_cut(top, left, border):
    image, mask = tile()
    place = patch(top, left, 20, 40, 30, border)
    (x, y), (warped, bent) = (
        augmentation.cut(image, mask, place),
        augmentation.warp(image, mask, place, STILL, tf.constant([3, 4])),
    )
    np.testing.assert_allclose(warped, x, atol=1e-5)
    np.testing.assert_array_equal(bent, y)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shape", [(60, 60), (41, 75)])
def test_a_warp_shows_image_and_mask_of_the_same_place(seed, shape):
    image, mask = tile(shape[0], shape[1], channels=3)
    strong = STILL.model_copy(update={"rotation": 180.0, "zoom": 0.3, "elastic_sigma": 3.0})
    x, y = augmentation.warp(image, mask, patch(10, 12, 28, *shape), strong, tf.constant([seed, 1]))
    # The mask holds where each pixel came from, to half a pixel: there the image must look as it does here.
    rows, columns = y[..., 0].numpy().astype(int), y[..., 1].numpy().astype(int)
    counted = rows != IGNORE
    assert counted.mean() > 0.5
    expected = image.numpy()[np.where(counted, rows, 0), columns]
    error = np.abs(x[HALO:-HALO, HALO:-HALO].numpy() - expected)[counted]
    assert error.max() < 0.2  # the steepest slope of a half diagonal pixel
    assert len(np.unique(rows[counted])) > 5


@pytest.mark.parametrize("seed", range(4))
def test_cubic_interpolation_is_that_of_keys(seed):
    numbers = np.random.default_rng(seed)
    image = ndimage.gaussian_filter(numbers.normal(0, 1, (20, 23)), 2).astype(np.float32)
    at = numbers.uniform(3, 16, (2, 5, 6)).astype(np.float32)

    def kernel(d):
        d = abs(d)
        inner, outer = 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
        return np.where(d <= 1, inner, np.where(d < 2, outer, 0))

    weights = [kernel(at[axis][..., None] - np.arange(image.shape[axis])) for axis in (0, 1)]
    expected = np.einsum("abi,ij,abj->ab", weights[0], image, weights[1])
    np.testing.assert_allclose(augmentation.cubic(tf.constant(image), tf.constant(at)), expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_no_padding_is_ever_learned(seed):
    image, _ = tile(40, 40)
    mask = np.ones((40, 40, 1), np.uint8)
    mask[8:-8, 8:-8] = 0  # padding would be class 1
    strong = STILL.model_copy(update={"rotation": 180.0, "zoom": 0.5, "elastic_sigma": 5.0})
    place = patch(4, 6, 30, 40, 40, border=8)
    for change in (
        augmentation.cut(image, tf.constant(mask), place),
        augmentation.warp(image, tf.constant(mask), place, strong, tf.constant([seed, 0])),
    ):
        assert set(np.unique(change[1])) <= {0, IGNORE}


def test_displacements_are_as_large_as_the_paper_says():
    image = np.zeros((101, 101, 1), np.float32)
    elastic = STILL.model_copy(update={"elastic_sigma": 10.0})
    rows, columns = np.indices((101, 101)).astype(np.uint8)
    mask = tf.constant(np.stack([rows, columns], -1))
    place = Patch(tf.constant(0), tf.constant(0), 101, 0, tf.constant([0, 0]), tf.constant([101, 101]))
    moved = []
    for seed in range(300):
        _, y = augmentation.warp(tf.constant(image), mask, place, elastic, tf.constant([seed, 7]))
        moved.append(y[50, 50].numpy().astype(int) - 50)
    # At a point of the grid the displacement is the drawn vector itself.
    assert np.std(moved) == pytest.approx(10, rel=0.1)
    assert abs(np.mean(moved)) < 1.5


def test_between_the_points_of_the_grid_runs_a_smooth_bicubic():
    vectors = np.random.default_rng(0).normal(0, 10, (2, 3, 3)).astype(np.float32)
    still = augmentation.positions(101, tf.constant(0.0), tf.constant(1.0), tf.zeros([2, 3, 3]))
    moved = augmentation.positions(101, tf.constant(0.0), tf.constant(1.0), tf.constant(vectors)) - still
    np.testing.assert_allclose(moved[:, ::50, ::50], vectors, atol=1e-3)
    assert np.abs(np.diff(moved, 2, axis=1)).max() < 0.1


def symmetries(flip, turns):
    """What each combination of flips and turns makes of a mask of rows and columns."""
    _, mask = tile(20, 20)
    flips = {"": mask.numpy()}
    if flip in ("horizontal", "both"):
        flips["left-right"] = np.flip(flips[""], 1)
    if flip in ("vertical", "both"):
        flips |= {f"{name} up-down": np.flip(values, 0) for name, values in flips.items()}
    return {
        np.rot90(values, k).tobytes() for values in flips.values() for k in (range(4) if turns else range(1))
    }


@pytest.mark.parametrize(
    ("flip", "turns", "count"),
    [
        ("none", False, 1),
        ("horizontal", False, 2),
        ("vertical", False, 2),
        ("both", False, 4),
        ("none", True, 4),
        ("both", True, 8),
    ],
)
def test_all_wanted_symmetries_occur_and_keep_image_and_mask_together(flip, turns, count):
    _, mask = tile(20, 20)
    image = tf.cast(mask, tf.float32)
    wanted = Augmentation(flip=flip, quarter_turns=turns)
    seen = []
    for seed in range(200):
        x, y = augmentation.flip_and_turn(image, mask, wanted, tf.constant([seed, 0]))
        assert (x.shape, y.shape) == (image.shape, mask.shape)
        np.testing.assert_array_equal(x.numpy(), y.numpy())
        seen.append(y.numpy().tobytes())
    assert set(seen) == symmetries(flip, turns)
    assert len(set(seen)) == count
    assert min(map(seen.count, set(seen))) > 200 / count / 3  # none is rare


def seeds(count):
    return [tf.constant([seed, 5], tf.int64) for seed in range(count)]


def picture(channels, scale=255.0):
    numbers = np.random.default_rng(3)
    return tf.constant(numbers.uniform(0.1, 0.9, (24, 24, channels)) * scale, tf.float32)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_gamma_bends_the_curve_between_the_ends_that_stay(channels):
    image = picture(channels, 20.0)  # a small part of the scale
    low, high = image.numpy().min(), image.numpy().max()
    powers = []
    for seed in seeds(60):
        changed = augmentation.vary_gamma(image, seed, 0.5).numpy()
        if channels == 5:  # each channel by itself
            low, high = image.numpy().min((0, 1)), image.numpy().max((0, 1))
        scaled = (image.numpy() - low) / (high - low)
        inner = (scaled > 0.1) & (scaled < 0.9)
        power = np.log(((changed - low) / (high - low))[inner]) / np.log(scaled[inner])
        assert np.ptp(power) < 1e-2
        powers.append(power.mean())
    assert 1 / 1.5 - 0.01 < min(powers) < 0.75
    assert 1.35 < max(powers) < 1.51
    assert np.mean(np.array(powers) > 1) == pytest.approx(0.5, abs=0.2)
    flat = tf.fill([4, 4, channels], 7.0)
    np.testing.assert_allclose(augmentation.vary_gamma(flat, seeds(1)[0], 0.5), flat)


def test_color_jitter_changes_hue_and_saturation_within_bounds():
    image = picture(3)
    before = tf.image.rgb_to_hsv(image / 255).numpy()
    hues, ratios = [], []
    for seed in seeds(60):
        after = tf.image.rgb_to_hsv(augmentation.vary_colors(image, seed, 0.4) / 255).numpy()
        np.testing.assert_allclose(after[..., 2], before[..., 2], atol=1e-4)  # the brightest channel stays
        fair = (before[..., 1] > 0.2) & (after[..., 1] < 0.99)
        hues.append(np.median(((after - before)[..., 0][fair] + 0.5) % 1 - 0.5))
        ratios.append(np.median((after[..., 1] / before[..., 1])[fair]))
    assert -0.101 < min(hues) < -0.07
    assert 0.07 < max(hues) < 0.101
    assert 0.59 < min(ratios) < 0.7
    assert 1.2 < max(ratios) < 1.41


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_blur_is_that_of_scipy(channels):
    image = picture(channels)
    drawn = []
    for seed in seeds(8):
        sigma = float(tf.random.stateless_uniform([], seed, 0.0, 2.0))
        drawn.append(sigma)
        # The kernel reaches as far as that of the largest sigma.
        expected = ndimage.gaussian_filter(
            image.numpy(), (sigma, sigma, 0), mode="reflect", truncate=6 / sigma
        )
        np.testing.assert_allclose(augmentation.blur(image, seed, 2.0), expected, atol=1e-2)
    assert max(drawn) > 1


def test_noise_is_gaussian_and_as_strong_as_drawn():
    image = tf.zeros([64, 64, 2])
    deviations = []
    for seed in seeds(60):
        noise = augmentation.add_noise(image, 0.3, seed).numpy()
        deviations.append(noise.std())
        assert abs(noise.mean()) < 0.02
        assert np.abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.1
    assert min(deviations) < 0.05
    assert 0.25 < max(deviations) < 0.31


def test_colors_of_other_channels_are_left_alone():
    strong = Augmentation(color_jitter=1.0)
    for channels, changes in ((1, False), (3, True), (4, False)):
        image = picture(channels)
        assert (
            np.abs(augmentation.vary_intensities(image, strong, seeds(1)[0]) - image).max() > 1
        ) == changes


def test_what_is_off_costs_nothing():
    image, mask = picture(3), picture(1)
    off = Augmentation(flip="none", quarter_turns=False)
    assert augmentation.vary_intensities(image, off, seeds(1)[0]) is image
    assert augmentation.add_noise(image, 0.0, seeds(1)[0]) is image
    assert augmentation.flip_and_turn(image, mask, off, seeds(1)[0]) == (image, mask)


def test_gray_values_change_within_bounds_and_repeatably():
    image = tf.ones([4, 4, 1])
    varied = [
        augmentation.vary_brightness_contrast(image, tf.constant([seed, 0]), 0.2).numpy()
        for seed in range(50)
    ]
    values = [float(v[0, 0, 0]) for v in varied]
    assert 0.6 <= min(values) < 0.9
    assert 1.1 < max(values) <= 1.4
    again = augmentation.vary_brightness_contrast(image, tf.constant([0, 0]), 0.2).numpy()
    np.testing.assert_array_equal(varied[0], again)
