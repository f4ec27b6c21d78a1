"""Step 1: the masters of a film are checked and made ready; the pixels are not touched yet."""

from __future__ import annotations

import numpy as np

from tomoe_explore import memory
from tomoe_explore.camera import NX, NY, dark_current, gain_mode
from tomoe_explore.data import Exposure, Film, Floats, Master, Masters
from tomoe_explore.errors import CalibrationError, NoMastersError
from tomoe_explore.kernels.dark import scale_hot
from tomoe_explore.reduction.values import Calibration
from tomoe_explore.schema import Flag

SAME_CURRENT = 0.02  #: dark currents that differ by less are the same: 0.2 K


def calibrate(film: Film, masters: Masters) -> Calibration:
    """What turns the stored values of a film into ADU above dark.

    Parameters
    ----------
    film : Film
        A CUBE film is calibrated already: its dark is 0 and its flat 1.
    masters : Masters
        A dark is needed; without a flat the film is reduced and flagged.

    Returns
    -------
    Calibration

    Raises
    ------
    NoMastersError
        If there is no dark.
    CalibrationError
        If a master is of another detector, shape or gain mode.

    Notes
    -----
    The gain is measured from the masters by photon transfer: a flat's noise is that of its light plus that of the
    dark, so gain = level / (variance_flat - variance_dark) in e-/ADU (Janesick, Photon Transfer, 2007).
    """
    e = film.exposure
    shape = NY, NX
    flags = int(e.flags)
    mode = e.gain_mode
    gain, read_noise = mode.gain, mode.read_noise_e / mode.gain
    level = 0.0
    if film.calibrated:
        dark, flat, bad = np.zeros(shape, np.float32), np.ones(shape, np.float32), np.zeros(shape, np.bool_)
    else:
        if masters.dark is None:
            raise NoMastersError(f"no master dark for {e.where}: give dark films of this detector with the films")
        _checked(masters.dark, "dark", e)
        dark = at_temperature(masters.dark, e.temperature_k)
        bad, level = masters.dark.bad, masters.dark.level
        if np.isfinite(masters.dark.noise_variance):
            read_noise = float(np.sqrt(masters.dark.noise_variance))
        if masters.flat is None:
            flat, flags = np.ones(shape, np.float32), flags | Flag.NO_FLAT
        else:
            flat = _checked(masters.flat, "flat", e)
            bad = np.logical_or(bad, masters.flat.bad, out=memory.empty(shape, np.bool_))
            gain = _measured_gain(masters.dark, masters.flat) or gain
    return Calibration(dark, flat, bad, gain, read_noise, level + mode.safe_adu(gain), flags)


def at_temperature(dark: Master, temperature_k: float) -> Floats:
    """A master dark as it would be at another temperature of the sensor.

    Parameters
    ----------
    dark : Master
    temperature_k : float
        Of the film, K; where it or the dark's is unknown, or they hardly differ, the dark is given as it is.

    Returns
    -------
    ndarray of float32, (NY, NX)
        ADU a frame.

    Notes
    -----
    Only the excess of hot pixels, those five times the scatter above the level, is scaled, by the ratio of the dark
    currents (`camera.dark_current`). What is left of the bias pattern does not change with temperature, and of the
    ordinary pixels' dark current one dark cannot tell it apart; its change is even over the detector and goes with
    the local sky.
    """
    ratio = float(dark_current(temperature_k) / dark_current(dark.exposure.temperature_k))
    if not abs(ratio - 1) > SAME_CURRENT:
        return dark.pixels
    pixels = memory.empty(dark.pixels.shape, np.float32)
    scale_hot(dark.pixels, dark.level, dark.level + 5 * dark.rms, ratio, pixels)
    return pixels


def _checked(master: Master, kind: str, exposure: Exposure) -> Floats:
    where = f"({exposure.where})"
    if master.kind != kind:
        raise CalibrationError(f"expected a master {kind}, got {master.kind} {master.master_id} {where}")
    if master.exposure.detector_id != exposure.detector_id:
        raise CalibrationError(
            f"master {kind} {master.master_id} is of detector {master.exposure.detector_id}, the film is not {where}"
        )
    if master.pixels.shape != (NY, NX):
        raise CalibrationError(f"master {kind} is {master.pixels.shape}, trimmed frames are {(NY, NX)} {where}")
    if master.exposure.gain_mode.name != exposure.gain_mode.name:
        raise CalibrationError(
            f"master {kind} {master.master_id} was taken at {master.exposure.gain_mode.name} gain, "
            f"the film at {exposure.gain_mode.name} gain {where}"
        )
    return master.pixels


def _measured_gain(dark: Master, flat: Master) -> float | None:
    """e-/ADU from two masters; None where they cannot tell or say something impossible."""
    excess = flat.noise_variance - dark.noise_variance
    if not (np.isfinite(excess) and excess > 0):
        return None
    measured = flat.level / excess
    nominal = gain_mode(dark.exposure.gain_mode.gain).gain
    return measured if 0.7 < measured / nominal < 1.4 else None
