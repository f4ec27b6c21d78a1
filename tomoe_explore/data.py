"""The values that travel between steps: exposure, film, reference catalog, masters, stack, cutouts, reduction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from tomoe_explore.camera import NX, NY, GainMode, mid_times_mjd
from tomoe_explore.errors import NoReferenceStarsError

Kind = Literal["object", "dark", "flat"]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Exposure:
    """What the header of one film says.

    Attributes
    ----------
    exposure_id, detector_id : int
        ``EXP_ID`` and ``DET_ID``.
    kind : str
        ``object``, ``dark`` or ``flat`` (``DATA-TYP``).
    night : str
        Local observing date, ``YYYY-MM-DD``.
    mjd_start : float
        ``UTC``: start of the exposure of the first light-sensitive row of frame 0, MJD.
    n_frames : int
        Frames on disk.
    frame_interval_s, exptime1_s : float
        ``TFRAME`` and ``EXPTIME1``, s.
    ra, dec : float
        Where the telescope points (the tile's centre), deg, ICRS; NaN for calibrations.
    gain_mode : GainMode
        From ``GAIN``; high gain where the header has none.
    temperature_k : float
        ``DETTEMP``; NaN where unknown.
    flags : int
        Bits of `tomoe_explore.schema.Flag` that hold for the whole film.
    object, project, observer : str
        As in the header.
    """

    exposure_id: int
    detector_id: int
    kind: Kind
    night: str
    mjd_start: float
    n_frames: int
    frame_interval_s: float
    exptime1_s: float
    ra: float
    dec: float
    gain_mode: GainMode
    temperature_k: float = float("nan")
    flags: int = 0
    object: str = ""
    project: str = ""
    observer: str = ""

    def mid_times(self, frame: ArrayLike, row: ArrayLike) -> NDArray[np.float64]:
        """Mid-exposure times (MJD, UTC) at frames and rows; see `camera.mid_times_mjd`."""
        return mid_times_mjd(
            self.mjd_start, np.asarray(frame), np.asarray(row),
            frame_interval_s=self.frame_interval_s, exptime1_s=self.exptime1_s,
        )  # fmt: skip

    @property
    def where(self) -> str:
        """``detector 112, exposure 357754``, for messages."""
        return f"detector {self.detector_id}, exposure {self.exposure_id}"


class FrameSource(Protocol):
    """Where the frames of a film come from; ``raw.py`` has one for files, tests have one for arrays."""

    def read(self, start: int, stop: int) -> NDArray[np.int16] | Floats:
        """Frames ``start <= n < stop``: C-contiguous, ``(frame, y, x)`` with reference columns still there.

        Either int16 whose *bytes are big-endian* as in the file (kernels swap them), or native float32.
        The array may be a view that the next call overwrites.
        """
        ...


@dataclass(frozen=True)
class Film:
    """The raw data of one detector and one exposure, read block by block.

    Attributes
    ----------
    exposure : Exposure
        What the header says.
    source : FrameSource
        Gives the frames.
    x0, y0 : int
        First light-sensitive column and row in the frames that ``source`` gives.
    bscale, bzero : float
        ADU = bzero + bscale * stored value.
    calibrated : bool
        Whether dark and flat are applied already (``TOMOE-IMAGE-CUBE``).
    checksum, path : str
        Of the file; empty where there is none.
    """

    exposure: Exposure
    source: FrameSource
    x0: int = 0
    y0: int = 0
    bscale: float = 1.0
    bzero: float = 0.0
    calibrated: bool = False
    checksum: str = ""
    path: str = ""

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.exposure.n_frames

    @property
    def packing(self) -> tuple[int, int, float, float]:
        """``(x0, y0, bscale, bzero)``, as the kernels want it."""
        return self.x0, self.y0, float(self.bscale), float(self.bzero)

    def blocks(self, first: int = 0, *, size: int = 18) -> Iterator[tuple[int, NDArray[np.int16] | Floats]]:
        """Blocks of at most ``size`` frames from frame ``first`` on, each with the number of its first frame."""
        for start in range(first, self.n_frames, size):
            yield start, self.source.read(start, min(start + size, self.n_frames))

    def adu(self, start: int, stop: int) -> Floats:
        """Trimmed frames as native float32 ADU, ``(frame, y, x)``: for cutouts and views, not for the hot path."""
        raw = self.source.read(start, stop)[:, self.y0 : self.y0 + NY, self.x0 : self.x0 + NX]
        values = raw.view(raw.dtype.newbyteorder(">")) if raw.dtype == np.int16 else raw
        return values.astype(np.float32) * np.float32(self.bscale) + np.float32(self.bzero)


@dataclass(frozen=True)
class Refcat:
    """A reference catalog in memory, sorted by declination.

    Attributes
    ----------
    name, checksum : str
        Which catalog it is.
    source_id : ndarray of int64
    ra, dec : ndarray of float64
        deg, ICRS, at ``epoch``.
    mag : ndarray of float32
        Gaia G, Vega.
    pmra, pmdec : ndarray of float32
        mas/yr; 0 where unknown.
    epoch : ndarray of float64
        Julian years.
    bp_rp : ndarray of float32
        NaN where unknown.
    """

    name: str
    checksum: str
    source_id: NDArray[np.int64]
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    mag: Floats
    pmra: Floats
    pmdec: Floats
    epoch: NDArray[np.float64]
    bp_rp: Floats

    def __len__(self) -> int:
        return len(self.source_id)

    def near(self, ra: float, dec: float, radius_deg: float, mjd: float | None = None) -> Refcat:
        """Stars within a radius, moved to the epoch of ``mjd`` if given.

        Raises
        ------
        NoReferenceStarsError
            If there is none.
        """
        low, high = np.searchsorted(self.dec, [dec - radius_deg, dec + radius_deg])
        d_ra = np.radians(self.ra[low:high] - ra)
        dec1, dec0 = np.radians(self.dec[low:high]), np.radians(dec)
        haversine = np.sin((dec1 - dec0) / 2) ** 2 + np.cos(dec1) * np.cos(dec0) * np.sin(d_ra / 2) ** 2
        index = low + np.flatnonzero(haversine <= np.sin(np.radians(radius_deg) / 2) ** 2)
        if len(index) == 0:
            raise NoReferenceStarsError(
                f"reference catalog {self.name!r} ({len(self)} stars) has none within {radius_deg:.2f} deg "
                f"of RA {ra:.4f}, Dec {dec:.4f}"
            )
        columns = {n: getattr(self, n)[index] for n in _REFCAT_ARRAYS}
        near = replace(self, **columns)
        return near if mjd is None else near._at(2000.0 + (mjd - 51544.5) / 365.25)

    def _at(self, epoch: float) -> Refcat:
        years = epoch - self.epoch
        dec = self.dec + self.pmdec * years / 3.6e6
        ra = (self.ra + self.pmra * years / 3.6e6 / np.cos(np.radians(self.dec))) % 360.0
        return replace(self, ra=ra, dec=dec, epoch=np.full(len(self), epoch))


_REFCAT_ARRAYS = ("source_id", "ra", "dec", "mag", "pmra", "pmdec", "epoch", "bp_rp")


@dataclass(frozen=True)
class Master:
    """A master dark (ADU a frame) or master flat (median 1) of one detector.

    Attributes
    ----------
    master_id : str
        Made from the kind, detector, night and content.
    kind : str
        ``dark`` or ``flat``.
    pixels : ndarray of float32
        ``(NY, NX)``.
    exposure : Exposure
        Of the film it was made from.
    level, rms : float
        Median before normalisation, and robust scatter; ADU.
    bad : ndarray of bool
        ``(NY, NX)``; pixels not to be used (hot, dead, unstable).
    noise_variance : float
        Median over pixels of the variance in time of one frame, ADU^2: a dark's gives the read noise, a flat's
        the gain. NaN where unknown.
    """

    master_id: str
    kind: Kind
    pixels: Floats
    exposure: Exposure
    level: float
    rms: float
    bad: NDArray[np.bool_]
    noise_variance: float = float("nan")


@dataclass(frozen=True)
class Masters:
    """The calibrations of one film; either may be missing where the recipe allows it."""

    dark: Master | None = None
    flat: Master | None = None


@dataclass(frozen=True)
class Stack:
    """Frames combined over time, calibrated, in ADU a frame.

    Attributes
    ----------
    image : ndarray of float32
        ``(NY, NX)``; unbiased mean over the frames used, sky included.
    variance : ndarray of float32
        ``(NY, NX)``, of ``image``, ADU^2.
    mask : ndarray of uint8
        ``(NY, NX)``; 0 good, bit 1 bad pixel, bit 2 saturated.
    n_frames : int
        Frames combined.
    wcs_header : mapping
        FITS WCS keywords (TAN or TAN-SIP); empty until solved.
    zeropoint, zeropoint_err : float
        Gaia G (Vega) of 1 ADU; NaN until known.
    fwhm_px, sky, depth : float
        Seeing (px), sky (ADU), 5 sigma depth (mag); NaN until known.
    n_stars : int
        Reference stars in the astrometric fit.
    astrometric_rms : float
        arcsec, a coordinate.
    gain, read_noise_e : float
        e-/ADU and e-, as measured from the masters where they allow it.
    aperture_px, aperture_correction : float
        Radius of the 2 Hz photometry; all light over the light within it.
    scintillation : float
        Relative rms of a star's flux in one frame beyond photons and read-out.
    lost : tuple of int
        Numbers of the frames, after those left out at the start, that were not recorded.
    """

    image: Floats
    variance: Floats
    mask: NDArray[np.uint8]
    n_frames: int
    wcs_header: Mapping[str, object] = field(default_factory=dict)
    zeropoint: float = float("nan")
    zeropoint_err: float = float("nan")
    fwhm_px: float = float("nan")
    sky: float = float("nan")
    depth: float = float("nan")
    n_stars: int = 0
    astrometric_rms: float = float("nan")
    gain: float = float("nan")
    read_noise_e: float = float("nan")
    aperture_px: float = float("nan")
    aperture_correction: float = float("nan")
    scintillation: float = float("nan")
    lost: tuple[int, ...] = ()

    @cached_property
    def sky_variance(self) -> float:
        """Median variance of a pixel, ADU^2: that of the sky, for most pixels hold no star."""
        return float(np.median(self.variance[::16, ::16]))


BAD_PIXEL, SATURATED_PIXEL = 1, 2  #: bits of `Stack.mask`


@dataclass(frozen=True)
class Provenance:
    """Where a reduction comes from: everything needed to run it again.

    ``parameters`` and ``environment`` are mappings of plain values that JSON can hold.
    """

    reduction_id: int
    film_path: str
    film_checksum: str
    dark_id: str | None
    flat_id: str | None
    refcat: str
    refcat_checksum: str
    code_version: str
    code_dirty: bool
    parameters: Mapping[str, object]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class MoverCutout:
    """What is kept of a film around a moving-object candidate.

    Attributes
    ----------
    mover_id : int
    frames : ndarray of float32
        ``(frame, y, x)``; ADU above dark, flat-fielded, sky included; NaN where there is no good pixel.
    x0, y0 : ndarray of int32, (frame,)
        Column and row of the detector at a frame's first pixel: the same in all frames, or they follow the mover.
    x, y : ndarray of float64, (frame,)
        Where its motion takes the mover, px of the detector as it was in that frame.
    mjd : ndarray of float64, (frame,)
        Mid-exposure there, MJD, UTC.
    noise : float
        Standard deviation of a sky pixel in one frame, ADU.
    """

    mover_id: int
    frames: Floats
    x0: NDArray[np.int32]
    y0: NDArray[np.int32]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    mjd: NDArray[np.float64]
    noise: float


@dataclass(frozen=True)
class Reduction:
    """What one run of the recipe on one film gives.

    Attributes
    ----------
    reduction_id : int
        Given by who asked; see `make_reduction_id`.
    exposure : Exposure
        Of the film.
    stack : Stack
        Solved and with a zero point.
    tables : mapping of str to pyarrow.Table
        ``photometry, sources, frames, movers, mover_detections, streaks`` as in ``schema.py``.
    dark_id, flat_id, refcat : str or None
        What it rests on.
    parameters : mapping
        Of the recipe.
    cutouts : tuple of MoverCutout
        One of each row of ``movers``.
    """

    reduction_id: int
    exposure: Exposure
    stack: Stack
    tables: Mapping[str, pa.Table]
    dark_id: str | None
    flat_id: str | None
    refcat: str
    parameters: Mapping[str, object]
    cutouts: tuple[MoverCutout, ...] = ()
