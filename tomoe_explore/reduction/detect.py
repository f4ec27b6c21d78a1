"""Step 3: sources on the stack."""

from __future__ import annotations

import numpy as np
import sep
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, uniform_filter

from tomoe_explore.data import Floats, Stack
from tomoe_explore.errors import TomoeError
from tomoe_explore.reduction.values import Detections

KERNEL_FWHM = 3.0  #: pixels; the matched filter of detection
MAX_SOURCES = 50_000  #: beyond this the threshold is raised


def detect(stack: Stack, *, snr: float = 5.0) -> Detections:
    """Find sources on a stack.

    Parameters
    ----------
    stack : Stack
    snr : float
        Threshold in the image filtered by a Gaussian of `KERNEL_FWHM`, in its noise.

    Returns
    -------
    Detections
        Brightest first.

    Raises
    ------
    TomoeError
        If the extraction overflows even at ten times the threshold.

    Notes
    -----
    Background, extraction and deblending by SEP (Barbary 2016; Bertin & Arnouts 1996) with ``filter_type="conv"``;
    its ``matched`` filter loses isolated stars where an error array and a mask are given.
    """
    masked = stack.mask & 1 > 0
    image = np.ascontiguousarray(stack.image)
    background = sep.Background(image, mask=masked, bw=64, bh=64, fw=5, fh=5).back()
    signal = image - background
    noise = np.sqrt(stack.variance)
    objects, segments = _extract(signal, noise, masked, snr)
    star_mask = binary_dilation(segments > 0, iterations=3)
    background = _mean_background(image, star_mask | masked, background)
    order = np.argsort(-objects["flux"], kind="stable")
    objects = objects[order]
    x, y, fwhm, ellipticity = _shapes(image - background, objects["x"], objects["y"])
    xi, yi = np.rint(x).astype(int), np.rint(y).astype(int)
    ny, nx = image.shape
    saturated = _near(stack.mask & 2 > 0, np.clip(xi, 0, nx - 1), np.clip(yi, 0, ny - 1))
    error = np.sqrt(np.maximum(objects["npix"], 1)) * float(np.median(noise[::8, ::8]))
    return Detections(
        x, y, objects["flux"].astype(np.float32), error.astype(np.float32), fwhm, ellipticity, saturated, star_mask,
        background.astype(np.float32),
    )  # fmt: skip


def seeing(detections: Detections) -> float:
    """Median FWHM (pixels) of unsaturated bright round sources; NaN if there are fewer than three.

    The brightest are left out: they are few and may be galaxies or nearly saturated.
    """
    snr = detections.flux / detections.flux_err
    good = (snr > 20) & ~detections.saturated & np.isfinite(detections.fwhm_px) & (detections.ellipticity < 0.3)
    if good.sum() < 3:
        return float("nan")
    return float(np.median(detections.fwhm_px[good][:300]))


def _extract(signal: Floats, noise: Floats, masked: NDArray[np.bool_], snr: float):  # type: ignore[no-untyped-def]
    half = np.arange(-3, 4)
    kernel = np.exp(-4 * np.log(2) * (half[:, None] ** 2 + half**2) / KERNEL_FWHM**2)
    kernel /= kernel.sum()
    filtered_noise = np.sqrt((kernel**2).sum())  # of an image with unit noise
    sep.set_extract_pixstack(2_000_000)
    for factor in (1.0, 3.0, 10.0):
        try:
            objects, segments = sep.extract(
                signal, snr * filtered_noise * factor, err=noise, mask=masked, minarea=1, filter_kernel=kernel,
                filter_type="conv", deblend_cont=0.005, segmentation_map=True,
            )  # fmt: skip
        except Exception as error:  # sep raises plain Exception when its pixel stack overflows
            if "overflow" not in str(error) and "full" not in str(error):
                raise
            continue
        if len(objects) <= MAX_SOURCES:
            return objects, segments
    raise TomoeError(f"more than {MAX_SOURCES} sources on the stack even at {10 * snr:.0f} sigma: no stellar field?")


def _mean_background(image: Floats, masked: NDArray[np.bool_], first: Floats) -> Floats:
    """Mean of star-free pixels over 129 pixels; the first estimate only fills what is masked.

    A mode is biased low where noise is skewed, as that of few photons is.
    """
    filled = np.where(masked, first, image)
    free = np.where(masked, 0.0, 1.0).astype(np.float32)
    weight = uniform_filter(free, 129, mode="nearest")
    mean_free = uniform_filter(filled * free, 129, mode="nearest") / np.maximum(weight, 1e-3)
    return np.where(weight > 0.2, mean_free, first)


def _shapes(signal: Floats, x: NDArray[np.float64], y: NDArray[np.float64], size: int = 7, steps: int = 8):  # type: ignore[no-untyped-def]
    """Centroid, FWHM and ellipticity of the elliptical Gaussian that fits each source best.

    Adaptive moments (Bernstein & Jarvis 2002, AJ 123, 583): the window is matched to the moments it gives.
    """
    ny, nx = signal.shape
    xi, yi = np.rint(x).astype(int), np.rint(y).astype(int)
    inside = (xi >= size) & (yi >= size) & (xi < nx - size) & (yi < ny - size)
    x_out, y_out = x.astype(np.float64).copy(), y.astype(np.float64).copy()
    fwhm = np.full(len(x), np.nan, np.float32)
    ellipticity = np.full(len(x), np.nan, np.float32)
    index = np.flatnonzero(inside)
    if len(index) == 0:
        return x_out, y_out, fwhm, ellipticity
    half = np.arange(-size, size + 1)
    stamps = signal[yi[index, None, None] + half[None, :, None], xi[index, None, None] + half[None, None, :]]
    gx, gy = half[None, None, :].astype(float), half[None, :, None].astype(float)
    cx, cy = x_first, y_first = x[index] - xi[index], y[index] - yi[index]
    first = (KERNEL_FWHM / 2.3548) ** 2
    xx, yy, xy = np.full(len(index), first), np.full(len(index), first), np.zeros(len(index))
    for _ in range(steps):
        u, v = gx - cx[:, None, None], gy - cy[:, None, None]
        det = np.maximum(xx * yy - xy**2, 1e-3)
        form = (yy[:, None, None] * u**2 + xx[:, None, None] * v**2 - 2 * xy[:, None, None] * u * v) / det[
            :, None, None
        ]
        w = np.exp(-0.5 * form) * stamps
        total = np.maximum(w.sum((1, 2)), 1e-6)
        mx, my = (w * u).sum((1, 2)) / total, (w * v).sum((1, 2)) / total
        # a window that wanders further is drawn by a neighbour
        cx, cy = np.clip(cx + 2 * mx, x_first - 1, x_first + 1), np.clip(cy + 2 * my, y_first - 1, y_first + 1)
        xx = np.clip(2 * (w * u**2).sum((1, 2)) / total, 0.2, 12.0)
        yy = np.clip(2 * (w * v**2).sum((1, 2)) / total, 0.2, 12.0)
        xy = np.clip(2 * (w * u * v).sum((1, 2)) / total, -0.9 * np.sqrt(xx * yy), 0.9 * np.sqrt(xx * yy))
    root = np.sqrt((xx - yy) ** 2 / 4 + xy**2)
    major, minor = np.sqrt((xx + yy) / 2 + root), np.sqrt(np.maximum((xx + yy) / 2 - root, 0.04))
    x_out[index], y_out[index] = xi[index] + cx, yi[index] + cy
    fwhm[index] = 2.3548 * np.sqrt(major * minor)
    ellipticity[index] = 1 - minor / major
    return x_out, y_out, fwhm, ellipticity


def _near(mask: NDArray[np.bool_], x: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.asarray(binary_dilation(mask, np.ones((3, 3)))[y, x])
