"""Which candidates are movers that were put in: the one place that says what a match is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from parts.mover_films import MoverTruth
from tomoe_explore.camera import PIXEL_SCALE

Array = NDArray[np.float64]

POSITION_FWHM = 2.0  #: largest distance of a match, at the candidate's time
VELOCITY_PART, VELOCITY_PX_S = 0.2, 1.0  #: largest difference of the velocities: of the true one, but at least this


@dataclass(frozen=True)
class Candidates:
    """Movers that a search gives for one film, ``(k,)`` each.

    Attributes
    ----------
    mjd, ra, dec : ndarray
        MJD, deg.
    rate, position_angle : ndarray
        arcsec/s, deg.
    score : ndarray
        Higher is better.
    covariance : ndarray, (k, 2, 2)
        Of the position along right ascension (times cos dec) and declination, arcsec2; NaN where it is not said.
    false_alarm : ndarray
        Expected false candidates a film at this score; NaN where it is not said.
    """

    mjd: Array
    ra: Array
    dec: Array
    rate: Array
    position_angle: Array
    score: Array
    covariance: Array
    false_alarm: Array

    def __len__(self) -> int:
        return len(self.mjd)

    def __getitem__(self, chosen: NDArray[np.bool_]) -> Candidates:
        return Candidates(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    @classmethod
    def of_table(cls, movers: pa.Table) -> Candidates:
        """Rows of the table ``movers``."""
        m = movers.to_pandas()
        a, d = m["ra_err"].to_numpy(float), m["dec_err"].to_numpy(float)
        both = a * d * m["ra_dec_corr"].to_numpy(float)
        covariance = np.array([[a * a, both], [both, d * d]]).transpose(2, 0, 1)
        names = ("mjd", "ra", "dec", "rate", "position_angle", "score")
        return cls(*(m[n].to_numpy(float) for n in names), covariance, m["false_alarm"].to_numpy(float))

    @property
    def velocity(self) -> Array:
        """arcsec/s towards east and north, ``(k, 2)``."""
        return _velocity(self.rate, self.position_angle)


def _velocity(rate: Array | float, angle_deg: Array | float) -> Array:
    angle = np.radians(angle_deg)
    return np.stack([rate * np.sin(angle), rate * np.cos(angle)], axis=-1)


def offset_arcsec(ra: Array, dec: Array, ra0: Array | float, dec0: Array | float) -> Array:
    """From one position to another nearby, arcsec towards east and north, ``(..., 2)``."""
    east = (np.asarray(ra) - ra0 + 180.0) % 360.0 - 180.0
    return np.stack([east * np.cos(np.radians(dec0)) * 3600, (np.asarray(dec) - dec0) * 3600], axis=-1)


@dataclass(frozen=True)
class Judged:
    """What a search found on one film.

    Attributes
    ----------
    snr, rate : ndarray, (m,)
        Of the movers that count.
    score : ndarray, (m,)
        The best candidate's; minus infinity where none matches.
    chi2, rate_error : ndarray, (m,)
        ``d C^-1 d / 2`` of that candidate's position; its rate over the true one, less 1. NaN where none matches.
    repeats : int
        Further candidates of movers that count.
    false : ndarray
        Scores of the candidates that are no mover.
    """

    snr: Array
    rate: Array
    score: Array
    chi2: Array
    rate_error: Array
    repeats: int
    false: Array


def judge(found: Candidates, truth: MoverTruth) -> Judged:
    """Match candidates with movers, the best candidates first; a mover's first is its match, the others repeat it."""
    n = len(truth.movers)
    score, chi2, rate_error = np.full(n, -np.inf), np.full(n, np.nan), np.full(n, np.nan)
    repeats, is_false = np.zeros(n, int), np.zeros(len(found), bool)
    for k in np.argsort(-found.score, kind="stable"):
        mover, offset = _match(found, int(k), truth)
        if mover is None:
            is_false[k] = True
        elif np.isfinite(score[mover]):
            repeats[mover] += 1
        else:
            score[mover] = found.score[k]
            rate_error[mover] = found.rate[k] / truth.movers[mover].rate - 1.0
            chi2[mover] = _chi2(offset, found.covariance[k])
    own = truth.counted
    return Judged(
        truth.snr[own], truth.rate[own], score[own], chi2[own], rate_error[own], int(repeats[own].sum()),
        found.score[is_false],
    )  # fmt: skip


def _match(found: Candidates, k: int, truth: MoverTruth) -> tuple[int | None, Array]:
    """The nearest mover that a candidate may be, and how far it is off."""
    best, best_offset, nearest = None, np.zeros(2), POSITION_FWHM * truth.fwhm_arcsec
    for number, mover in enumerate(truth.movers):
        ra, dec = mover.at(found.mjd[k])
        offset = offset_arcsec(found.ra[k], found.dec[k], ra, dec)
        distance = float(np.hypot(*offset))
        slip = float(np.hypot(*(found.velocity[k] - _velocity(mover.rate, mover.position_angle))))
        if distance <= nearest and slip <= max(VELOCITY_PART * mover.rate, VELOCITY_PX_S * PIXEL_SCALE):
            best, best_offset, nearest = number, offset, distance
    return best, best_offset


def _chi2(offset: Array, covariance: Array) -> float:
    if not np.isfinite(covariance).all() or np.linalg.det(covariance) <= 0:
        return float("nan")
    return float(offset @ np.linalg.solve(covariance, offset)) / 2
