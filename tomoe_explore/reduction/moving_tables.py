"""Step 16: movers and streaks become the tables of ``schema.py``."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tomoe_explore import schema
from tomoe_explore.data import Exposure
from tomoe_explore.ids import member_ids
from tomoe_explore.magnitudes import mag_err, mag_g
from tomoe_explore.reduction.moving import Movers, false_alarm
from tomoe_explore.reduction.values import Doubles
from tomoe_explore.wcs import TanSip


def movers_tables(
    exposure: Exposure, reduction_id: int, wcs: TanSip, movers: Movers, njy: float
) -> tuple[pa.Table, pa.Table]:
    """The ``movers`` and ``mover_detections`` tables; ``njy`` is the flux of 1 ADU."""
    ids = member_ids(reduction_id, len(movers), "mover")
    same = {"exposure_id": exposure.exposure_id, "detector_id": exposure.detector_id, "reduction_id": reduction_id}
    ra, dec = wcs.to_sky(movers.x, movers.y)
    sky = _jacobian(wcs, movers.x, movers.y)
    east, north = np.einsum("kij,kj->ki", sky, movers.velocity).T
    covariance = _on_sky(sky, movers.position_err)
    of_velocity = _on_sky(sky, movers.velocity_err)
    rate = np.hypot(east, north)
    along = np.stack([east, north], axis=1) / rate[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    flags = int(exposure.flags) | (int(schema.Flag.TOO_MANY) if movers.too_many else 0)
    errors = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    flux, flux_err = movers.flux * njy, movers.flux_err * njy
    table = schema.conform(
        "movers",
        {
            "mover_id": ids, "mjd": movers.mjd, "ra": ra, "dec": dec, "ra_err": errors[:, 0], "dec_err": errors[:, 1],
            "ra_dec_corr": covariance[:, 0, 1] / errors.prod(axis=1), "x": movers.x, "y": movers.y,
            "rate": rate, "rate_err": _projected(of_velocity, along),
            "position_angle": np.degrees(np.arctan2(east, north)) % 360,
            "position_angle_err": np.degrees(_projected(of_velocity, across) / rate),
            "mag": mag_g(flux), "mag_err": mag_err(flux, flux_err), "snr": movers.flux / movers.flux_err,
            "n_frames": np.bincount(movers.mover, minlength=len(ids)),
            "score": movers.score, "false_alarm": false_alarm(movers.score), "flags": flags, **same,
        },
    )  # fmt: skip
    return table, _detections(exposure, ids, wcs, movers, njy, same)


def _detections(
    exposure: Exposure, ids: np.ndarray, wcs: TanSip, movers: Movers, njy: float, same: dict[str, int]
) -> pa.Table:
    x, y = movers.place.T
    ra, dec = wcs.to_sky(x, y)
    covariance = _on_sky(_jacobian(wcs, x, y), movers.place_err)
    flux, flux_err = movers.frame_flux * njy, movers.frame_flux_err * njy
    return schema.conform(
        "mover_detections",
        {
            "mover_id": ids[movers.mover], "frame": movers.frame, "mjd": exposure.mid_times(movers.frame, y),
            "ra": ra, "dec": dec, "ra_err": np.sqrt(covariance[:, 0, 0]), "dec_err": np.sqrt(covariance[:, 1, 1]),
            "mag": mag_g(flux), "mag_err": mag_err(flux, flux_err), "x": x, "y": y, **same,
        },
    )  # fmt: skip


def _jacobian(wcs: TanSip, x: Doubles, y: Doubles) -> Doubles:
    """East and north, arcsec, of a pixel along x and y: ``(m, 2, 2)``."""
    columns = []
    for dx, dy in ((0.5, 0.0), (0.0, 0.5)):
        ra1, dec1 = wcs.to_sky(x - dx, y - dy)
        ra2, dec2 = wcs.to_sky(x + dx, y + dy)
        east = ((ra2 - ra1 + 180) % 360 - 180) * np.cos(np.radians((dec1 + dec2) / 2)) * 3600
        columns.append(np.stack([east, (dec2 - dec1) * 3600], axis=-1))
    return np.stack(columns, axis=-1).reshape(-1, 2, 2)


def _on_sky(jacobian: Doubles, error: Doubles) -> Doubles:
    """Covariances on the sky of errors along x and y, ``(m, 2, 2)``."""
    return np.asarray(np.einsum("kij,kj,klj->kil", jacobian, error**2, jacobian))


def _projected(covariance: Doubles, direction: Doubles) -> Doubles:
    return np.asarray(np.sqrt(np.einsum("ki,kij,kj->k", direction, covariance, direction)))
