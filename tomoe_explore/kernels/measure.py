"""Light, place and shape of stars through a Gaussian window, the light of their neighbours taken off."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.background import FAST
from tomoe_explore.kernels.moffat import Psf, light
from tomoe_explore.kernels.pixels import Rows
from tomoe_explore.kernels.prefetch import prefetch_image

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

STEPS, SETTLED = 5, 0.01  #: of a centroid at most; pixels that no longer matter
SETTLED_WITH_HOLES = 0.0025  #: pixels: what fills the holes moves too, each step goes but part of the way
WANDER = 1.0  #: pixels that a centroid may go from where it began
MINOR = 0.003  #: light of a neighbour at the star's place, over the star's own, that is let be
STILL = 0.01  #: change of a star's light, or of its place in sigma, that no longer matters to its neighbours
LANES = 8  #: rows of a stamp are so many pixels or a multiple, the last ones without weight: else no vector code
HELD_FLUX, HELD = 1, 2  #: stars whose light, or light and place, are given


@njit(cache=True, nogil=True)
def measure(
    images: tuple[Floats, Floats],
    bad: Rows,
    stars: tuple[Doubles, Doubles, Doubles, NDArray[np.uint8], Floats],
    neighbours: tuple[Ints, Ints],
    window: tuple[float, float, Psf],
    sweeps: int,
) -> Doubles:
    """Measure all stars, those with neighbours again and again: what is taken off them gets better with each sweep.

    Parameters
    ----------
    images : (image, variance)
        ``(ny, nx)`` each.
    bad : (start, x)
        From `pixels.bad_and_saturated`: pixels that are filled with the Gaussian of the star's light, as are those
        beyond the edge.
    stars : (x, y, flux, held, level)
        ``(m,)`` each, best in the order of y for the memory's sake. Places (pixels) and all light are first guesses and
        updated in place, but for stars whose ``held`` is `HELD_FLUX` or `HELD`. The level is that of the sky at the
        star.
    neighbours : (start, index)
        From `neighbours.neighbour_lists`.
    window : (sigma, share, psf)
        Of the Gaussian, pixels; light of a star under it over all light; the star image.
    sweeps : int

    Returns
    -------
    ndarray of float64, (m, 6)
        Standard error of the flux by `images`' variance; variances of the light in the window ``xx, yy, xy``,
        pixels^2; light of neighbours in the window (as a flux); and the significance of the sharpest few pixels over
        that of the star, above 1 for what is sharper than a star.

    Notes
    -----
    Fixed-point iteration ``c <- c + 2 sum(w (r - c) I) / sum(w I)`` (Bertin, SExtractor's XWIN): the factor 2 makes it
    the maximum-likelihood place where window and star are the same Gaussian; ``sum(w I)`` is then the matched filter.
    """
    xs, ys, flux, held, level = stars
    start = neighbours[0]
    sigma, share, psf = window
    m, reach = len(xs), int(np.ceil(3.0 * sigma)) + 1
    out, change = np.zeros((m, 6)), np.ones(m)
    first_x, first_y, guess = xs.copy(), ys.copy(), flux.copy()
    size = 2 * reach + 1
    width = -(-size // LANES) * LANES
    stamp = np.zeros((3, size, width), np.float32)
    lines = (
        np.zeros(width, np.float32), np.zeros(width, np.float32), np.zeros(width, np.float32),
        np.zeros(width, np.float32), np.zeros(width, np.float32), np.zeros(width, np.float32),
    )  # fmt: skip
    holes = np.empty((size * size, 2), np.int64)
    for sweep in range(sweeps):
        for i in range(m):
            if sweep > 0 and not _changed(stars, neighbours, psf, (i, sweep), change):
                continue
            corner = int(np.rint(xs[i])) - reach, int(np.rint(ys[i])) - reach
            if sweep == 0 and i + 1 < m:
                _fetch(images, int(np.rint(xs[i + 1])) - reach, int(np.rint(ys[i + 1])) - reach, size)
            n_holes = _cut(images, bad, (corner[0], corner[1], level[i]), stamp, holes)
            if start[i] < start[i + 1]:
                _take_off(stamp, corner, stars, neighbours, psf, (i, sweep == 0, guess))
            c, before = (xs[i] - corner[0], ys[i] - corner[1]), flux[i]
            limits = first_x[i] - corner[0], first_y[i] - corner[1], 0.0 if held[i] == HELD else WANDER
            cx, cy, total, other = _center(stamp, holes[:n_holes], c, limits, (sigma, lines), out[i])
            xs[i], ys[i] = cx + corner[0], cy + corner[1]
            out[i, 0] /= share
            out[i, 4] = other / share
            out[i, 5] = _sharpness(stamp[0], cx, cy, sigma) / max(total, 1e-9)
            if held[i] == 0:
                flux[i] = max(total / share, 0.0)
            moved = max(abs(cx - c[0]), abs(cy - c[1])) / sigma
            change[i] = max(moved, abs(flux[i] - before) / max(flux[i], 1e-9))
    return out


@njit(cache=True, nogil=True)
def _fetch(images, x, y, size):  # type: ignore[no-untyped-def]
    """Call for the pixels of a star that comes soon."""
    for v in range(y, y + size):
        prefetch_image(images[0], v, x)
        prefetch_image(images[0], v, x + size)
        prefetch_image(images[1], v, x)
        prefetch_image(images[1], v, x + size)


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _changed(stars, neighbours, psf, which, change):  # type: ignore[no-untyped-def]
    """Whether what is to be taken off a star is not what was taken off it in the sweep before.

    After the first sweep that is so wherever a neighbour matters: fainter ones are taken off for the first time.
    """
    start, index = neighbours
    i, sweep = which
    for k in range(start[i], start[i + 1]):
        j = index[k]
        if (sweep == 1 or change[j] > STILL) and _matters(stars, psf, i, j):
            return True
    return False


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _matters(stars, psf, i, j):  # type: ignore[no-untyped-def]
    """Whether star j puts more than `MINOR` of star i's own light on its place."""
    xs, ys, flux = stars[0], stars[1], stars[2]
    d2 = np.float32((xs[j] - xs[i]) ** 2 + (ys[j] - ys[i]) ** 2)
    return flux[j] * light(psf[0], psf[1], d2) > MINOR * flux[i] * psf[0][0]


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _cut(images, bad, place, stamp, holes):  # type: ignore[no-untyped-def]
    """Image less sky, neighbours' light (none yet) and variance about a star; the number of pixels to be filled."""
    image, variance = images
    x0, y0, level = place
    ny, nx = image.shape
    _, size, width = stamp.shape
    others = stamp[1]
    others[:] = np.float32(0.0)
    if x0 >= 0 and y0 >= 0 and x0 + width <= nx and y0 + size <= ny:
        for v in range(size):
            _copy_row(image[y0 + v, x0 : x0 + width], level, stamp[0, v])
            _copy_row(variance[y0 + v, x0 : x0 + width], np.float32(0.0), stamp[2, v])
    else:
        stamp[:] = np.float32(0.0)
        for v in range(max(-y0, 0), min(size, ny - y0)):
            for u in range(max(-x0, 0), min(size, nx - x0)):
                stamp[0, v, u] = image[y0 + v, x0 + u] - level
                stamp[2, v, u] = variance[y0 + v, x0 + u]
    return _holes(bad, (ny, nx), (x0, y0), stamp, holes)


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _copy_row(row, level, out):  # type: ignore[no-untyped-def]
    for u in range(len(out)):
        out[u] = row[u] - level


@njit(cache=True, nogil=True)
def _holes(bad, shape, corner, stamp, holes):  # type: ignore[no-untyped-def]
    """List the bad pixels of a stamp and those beyond the edge, and set them to zero."""
    (start, columns), (ny, nx), (x0, y0) = bad, shape, corner
    size, n = stamp.shape[1], 0
    inside = x0 >= 0 and x0 + size <= nx
    for v in range(size):
        y = y0 + v
        if y < 0 or y >= ny:
            for u in range(size):
                holes[n, 0], holes[n, 1] = v, u
                n += 1
            continue
        if not inside:
            for u in range(size):
                if u < -x0 or u >= nx - x0:
                    holes[n, 0], holes[n, 1] = v, u
                    n += 1
        for k in range(start[y], start[y + 1]):
            u = columns[k] - x0
            if 0 <= u < size:
                holes[n, 0], holes[n, 1] = v, u
                n += 1
            elif size <= u < stamp.shape[2]:
                stamp[0, v, u] = stamp[2, v, u] = np.float32(0.0)  # no hole to be filled, but NaN outlives weight 0
    for k in range(n):
        stamp[0, holes[k, 0], holes[k, 1]] = stamp[2, holes[k, 0], holes[k, 1]] = np.float32(0.0)
    return n


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _take_off(stamp, corner, stars, neighbours, psf, which):  # type: ignore[no-untyped-def]
    """Subtract the neighbours' light; in the first sweep only that of brighter ones: a faint one's may be theirs."""
    xs, ys, flux = stars[0], stars[1], stars[2]
    start, index = neighbours
    i, brighter_only, first = which
    data, near = stamp[0], stamp[1]
    table, per_px2 = psf[0], psf[1]
    for k in range(start[i], start[i + 1]):
        j = index[k]
        if brighter_only and first[j] < first[i]:
            continue
        if not _matters(stars, psf, i, j):
            continue
        x, y, f = np.float32(xs[j] - corner[0]), np.float32(ys[j] - corner[1]), np.float32(flux[j])
        for v in range(len(data)):
            dy2 = (np.float32(v) - y) ** 2
            row, others = data[v], near[v]
            for u in range(len(row)):
                dx = np.float32(np.int32(u)) - x
                p = f * light(table, per_px2, dx * dx + dy2)
                row[u] -= p
                others[u] += p


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _profile(c, sigma, size, f, e):  # type: ignore[no-untyped-def]
    """Offsets from a place and the Gaussian there, by recurrence from the middle: three exponentials, not one each."""
    middle = size // 2
    a = 1 / (sigma * sigma)
    t = middle - c
    here = np.exp(-0.5 * t * t * a)
    shrink = np.exp(-a)
    up, down = np.exp(-(t + 0.5) * a), np.exp((t - 0.5) * a)
    left = right = here
    f[middle], e[middle] = t, here
    for u in range(1, middle + 1):
        right *= up
        left *= down
        up *= shrink
        down *= shrink
        f[middle + u], e[middle + u] = t + u, right
        f[middle - u], e[middle - u] = t - u, left


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _center(stamp, holes, c, limits, window, out):  # type: ignore[no-untyped-def]
    """Place and light of the star in a stamp, and the light of its neighbours; error and shape go to ``out``."""
    size = stamp.shape[1]
    sigma, lines = window
    data = stamp[0]
    cx, cy = c
    fx, fy, ex, ey, sums, sums_y = lines
    whole = np.pi * sigma * sigma
    settled = SETTLED if len(holes) == 0 else SETTLED_WITH_HOLES
    total = np.float32(0.0)
    for step in range(STEPS + 1):
        _profile(cx, sigma, size, fx, ex)
        _profile(cy, sigma, size, fy, ey)
        _add_rows(data, ey, fy, (sums, sums_y))
        total, sx, sy = _add_columns(ex, fx, (sums, sums_y))
        if len(holes):
            total, sx, sy = _fill(data, holes, lines, whole, (total, sx, sy))
        if step == STEPS or not total > 0:
            break
        x = min(max(cx + 2 * sx / total, limits[0] - limits[2]), limits[0] + limits[2])
        y = min(max(cy + 2 * sy / total, limits[1] - limits[2]), limits[1] + limits[2])
        moved = max(abs(x - cx), abs(y - cy))
        cx, cy = x, y
        if moved < settled:
            break
    return cx, cy, total, _shape(stamp, lines, (total, whole), out)


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _add_rows(data, ey, fy, sums):  # type: ignore[no-untyped-def]
    """Sums over y of a stamp times the Gaussian in y, and times the offset too."""
    plain, offset = sums
    plain[:], offset[:] = np.float32(0.0), np.float32(0.0)
    for v in range(len(data)):
        row, a, b = data[v], ey[v], ey[v] * fy[v]
        for u in range(len(row)):
            plain[u] += a * row[u]
            offset[u] += b * row[u]


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _add_columns(ex, fx, sums):  # type: ignore[no-untyped-def]
    plain, offset = sums
    total, sx, sy = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for u in range(len(ex)):
        w = ex[u] * plain[u]
        total += w
        sx += w * fx[u]
        sy += ex[u] * offset[u]
    return total, sx, sy


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _shape(stamp, lines, light_and_area, out):  # type: ignore[no-untyped-def]
    """Error of the light, second moments; returned is the light of the neighbours."""
    total, whole = light_and_area
    fx, fy, ex, ey, _, _ = lines
    zero = np.float32(0.0)
    xx, yy, xy, near, noise, used = zero, zero, zero, zero, zero, zero
    for v in range(stamp.shape[1]):
        t, tx, txx, to, tn, tu = zero, zero, zero, zero, zero, zero
        row, others, variance = stamp[0, v], stamp[1, v], stamp[2, v]
        for u in range(len(row)):
            w = ex[u] * row[u]
            t += w
            tx += w * fx[u]
            txx += w * fx[u] * fx[u]
            to += ex[u] * others[u]
            k2 = ex[u] * ex[u]
            tn += k2 * variance[u]
            tu += k2 * np.float32(variance[u] > 0)
        k = ey[v]
        xx += k * txx
        yy += k * t * fy[v] * fy[v]
        xy += k * tx * fy[v]
        near += k * to
        noise += k * k * tn
        used += k * k * tu
    floor = max(total, 1e-9)
    out[0] = np.sqrt(noise) * whole / max(used, 1e-3 * whole)
    out[1], out[2], out[3] = xx / floor, yy / floor, xy / floor
    return near


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _fill(data, holes, lines, whole, sums):  # type: ignore[no-untyped-def]
    """Fill holes with the Gaussian whose light under itself is that of the good pixels over their share of it.

    Returned are the sums with the new light in the holes.
    """
    fx, fy, ex, ey, _, _ = lines
    total, sx, sy = sums
    good, used = total, np.float32(whole)
    for k in range(len(holes)):
        v, u = holes[k]
        weight = ex[u] * ey[v]
        good -= data[v, u] * weight
        used -= weight * weight
    peak = max(good, np.float32(0.0)) / max(used, np.float32(0.1 * whole))
    for k in range(len(holes)):
        v, u = holes[k]
        weight = ex[u] * ey[v]
        change = (peak * weight - data[v, u]) * weight
        total += change
        sx += change * fx[u]
        sy += change * fy[v]
        data[v, u] = peak * weight
    return total, sx, sy


@njit(cache=True, nogil=True)
def _sharpness(data, cx, cy, sigma):  # type: ignore[no-untyped-def]
    """Largest signal to noise of one pixel, or of two or four where a star covers many, in units of the window's sum.

    Of the noise of one pixel, ``n`` pixels give ``sum / sqrt(n)`` and the window ``sum(w d) / sqrt(pi sigma^2)``.
    """
    size = len(data)
    xi, yi = min(max(int(np.rint(cx)), 2), size - 3), min(max(int(np.rint(cy)), 2), size - 3)
    covers = np.pi * sigma * sigma
    best = 0.0
    for v in range(yi - 1, yi + 2):
        for u in range(xi - 1, xi + 2):
            d = data[v, u]
            best = max(best, d)
            if covers > 4.5:
                pair = max(max(data[v, u + 1], data[v + 1, u]), max(data[v + 1, u + 1], data[v + 1, u - 1]))
                best = max(best, (d + pair) / np.sqrt(2.0))
            if covers > 9.0:
                best = max(best, (d + data[v, u + 1] + data[v + 1, u] + data[v + 1, u + 1]) / 2.0)
    return best * np.sqrt(covers)
