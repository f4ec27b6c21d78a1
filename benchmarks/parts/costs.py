"""What one night's films cost: ours, the peers and the yardstick in turn, and how well each of them does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from parts import measure, peers
from parts.film_score import detections_of, scatter_against_model, scene, series
from parts.films import FilmTruth, Night
from parts.measure import Array
from parts.scores import count_detections
from tomoe_explore import raw
from tomoe_explore.archive import Archive
from tomoe_explore.camera import NX, NY, PIXEL_SCALE, detector_center
from tomoe_explore.data import Film, Masters, Reduction, Refcat
from tomoe_explore.ids import make_reduction_id
from tomoe_explore.operations.reduce import reduce
from tomoe_explore.reduction.recipe import reduce_film
from tomoe_explore.simulate import Simulation

MOVERS = tuple(
    f"tomoe_explore.reduction.recipe:{name}" for name in ("residuals", "find_movers", "fit_movers", "cut_movers")
)
STREAKS = tuple(f"tomoe_explore.reduction.recipe:{name}" for name in ("_streaks", "mask_streaks", "crossing_flags"))
#: What only ours does: frames registered, films that are not right refused, neighbours' light taken off, each frame's
#: transparency, errors that are true, tables.
OURS_ALONE = (
    *(f"tomoe_explore.reduction.recipe:{name}" for name in (
        "register", "check_frames", "check_sky", "check_images", "check_epoch", "check_noise", "check_light",
        "find_pairs", "_neighbours", "transparency", "twinkling",
    )),
    *(f"tomoe_explore.reduction.tables:{name}" for name in (
        "photometry_table", "sources_table", "frames_table",
    )),
)  # fmt: skip
COMPRESSION = ("tomoe_explore.archive.stage:write_stack",)
PEERS = ("numpy_sep", "numpy_sep_tutorial", "ccdproc_photutils")
MOST_FILMS = 4  #: that one run of ours takes, so that its start counts little


@dataclass(frozen=True)
class Calibrated:
    """What all films of a night share."""

    night: Simulation
    masters: Masters
    refcat: Refcat


@dataclass(frozen=True)
class Speed:
    """CPU seconds a film, one entry a round.

    Attributes
    ----------
    field : str
    seeing : float
        arcsec.
    n_bytes : int
        Of a film.
    seconds : dict of str to ndarray
        ``readinto`` (the yardstick); ``whole`` (from the file to the archive, its checksum and everything, but without
        the compression of the stack), ``movers`` and ``compression`` within the same runs; ``recipe`` (all steps but
        movers, no archive) and within it ``common`` (the stages that the peers do too: less `OURS_ALONE`); each of
        `PEERS`.
    quality : dict
        Figures of ours and of each peer.
    """

    field: str
    seeing: float
    n_bytes: int
    seconds: dict[str, Array]
    quality: dict[str, dict[str, float]]

    def median(self, name: str) -> float:
        """Median of the rounds."""
        return float(np.median(self.seconds[name]))

    def __post_init__(self) -> None:
        self.seconds["no movers"] = self.seconds["whole"] - self.seconds["movers"]


def reduced(film: Film, c: Calibrated) -> Reduction:
    """The recipe alone: no archive."""
    reduction_id = make_reduction_id(film.exposure.exposure_id, film.exposure.detector_id, 1)
    return reduce_film(film, c.masters, c.refcat, reduction_id=reduction_id)


def speed(night: Night, paths: Sequence[Path], c: Calibrated, done: tuple[Reduction, FilmTruth], rounds: int) -> Speed:
    """Time the first films of a night; ``done`` is the reduction and the truth of the first, which the peers take."""
    first, paths = paths[0], paths[:MOST_FILMS]
    watch, job = measure.Stopwatch(), _job(first, c, done[0])
    archives = iter([_new_archive(c, first.parents[1] / f"timed-{k}") for k in range(rounds)])

    def whole() -> None:
        with watch.on("compression", *COMPRESSION), watch.on("movers", *MOVERS, *STREAKS):
            run = reduce(paths, next(archives), c.night.refcat, progress=False)
        if len(run.done) != len(paths):
            raise SystemExit(f"the archive did not take all of {[p.name for p in paths]}: {run.failed}")

    def recipe() -> Reduction:
        with watch.on("recipe movers", *MOVERS, *STREAKS), watch.on("ours alone", *OURS_ALONE):
            return reduced(raw.open_film(first, checksum=""), c)

    contenders = {
        "readinto": measure.reader(first),
        "whole": whole,
        "recipe": recipe,
        **{name: partial(getattr(peers, name), job) for name in PEERS},
    }
    seconds, results = measure.interleaved(contenders, rounds)
    inside = {name: watch.blocks(name) / len(paths) for name in ("compression", "movers")}
    whole_film = seconds["whole"] / len(paths) - inside["compression"]
    seconds |= inside | {"whole": whole_film, "recipe": seconds["recipe"] - watch.blocks("recipe movers")}
    seconds["common"] = seconds["recipe"] - watch.blocks("ours alone")
    quality = {"ours": _quality(series(done[0])["flux"], None, done)}
    quality |= {name: _quality(results[name].flux, results[name], done) for name in PEERS}
    return Speed(night.field, night.seeing, first.stat().st_size, seconds, quality)


def _new_archive(c: Calibrated, root: Path) -> Archive:
    """An archive that knows the masters and none of the films, so that nothing is spared."""
    archive = Archive.create(root)
    dark, flat = c.masters.dark, c.masters.flat
    for master in (dark, flat):
        if master is not None:
            dark_id = dark.master_id if dark and master is flat else None
            archive.add_master(master, film_checksum=master.master_id, dark_id=dark_id)
    return archive


def _job(path: Path, c: Calibrated, reduction: Reduction) -> peers.Job:
    """The peers' task: the same targets and aperture, the nominal WCS."""
    e = reduction.exposure
    center = detector_center(e.ra, e.dec, e.detector_id)
    stars = c.refcat.near(*center, float(np.hypot(NX, NY)) / 2 * PIXEL_SCALE / 3600 + 0.05, e.mjd_start)
    near = stars.mag <= float(reduction.parameters["mag_limit"])  # type: ignore[arg-type]
    sources = reduction.tables["sources"]
    dark, flat = c.masters.dark, c.masters.flat
    assert dark is not None
    assert flat is not None
    return peers.Job(
        path, dark.pixels, flat.pixels, center, stars.ra[near], stars.dec[near], stars.mag[near].astype(float),
        sources["x"].to_numpy().astype(float), sources["y"].to_numpy().astype(float),
        reduction.stack.fwhm_px, reduction.stack.aperture_px,
    )  # fmt: skip


def _quality(flux: Array, measured: peers.Measured | None, done: tuple[Reduction, FilmTruth]) -> dict[str, float]:
    """Completeness, spurious detections and scatter of one pipeline on one film."""
    reduction, truth = done
    found = detections_of(reduction) if measured is None else (measured.x, measured.y, measured.snr)
    s = scene(truth, reduction.stack.n_frames)
    counts = count_detections(found, s.stars, s.fwhm_px)
    return {
        "completeness_sn7": counts.completeness, "spurious_fraction": counts.spurious_fraction,
        "scatter_bright": scatter_against_model(flux, reduction, truth),
        "scatter_16": scatter_against_model(flux, reduction, truth, (15.5, 16.5)),
    }  # fmt: skip
