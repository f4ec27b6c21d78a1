"""How right and how fast the reduction is: films with known truth, and two peers on the same films.

    python benchmarks/reduction.py [--quick] [--json] [--scratch DIR]

Films are simulated from real Gaia stars (a sparse and a dense field, in ``../shared/data/stars``) and a synthetic sky,
reduced, scored and deleted night by night. Figures of films are the worst film's, figures of stars the worst half
magnitude or field, costs the median of the films timed; the tables also give medians. ``completeness_sn7`` and
``spurious_fraction`` are of isolated stars outside the dense field, which has its own line. Cost is from the raw file
to the archive, without the compression of the stack. A figure that was not measured is null.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from parts import measure, peers
from parts.film_score import FilmScore, detections_of, radius_px, scatter_against_model, scene, score_film, series
from parts.films import FAINTEST, FilmTruth, Night, film_truth, films, plan
from parts.reduction_report import FIELDS, Bytes, Speed, figures_of, report
from parts.scores import count_detections

from tomoe_explore import raw
from tomoe_explore.archive import Archive
from tomoe_explore.camera import NX, NY, PIXEL_SCALE, detector_center
from tomoe_explore.data import Film, Masters, Reduction, Refcat
from tomoe_explore.errors import TomoeError
from tomoe_explore.ids import make_reduction_id
from tomoe_explore.operations.reduce import reduce
from tomoe_explore.reduction.masters import make_dark, make_flat
from tomoe_explore.reduction.recipe import reduce_film
from tomoe_explore.refcat import read_refcat
from tomoe_explore.simulate import Simulation

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "stars"
MOVERS = ("tomoe_explore.reduction.recipe:find_movers", "tomoe_explore.reduction.recipe:measure_movers")
COMPRESSION = ("tomoe_explore.archive.commit:write_stack",)


@dataclass(frozen=True)
class Size:
    """How much is done: nights a field, exposures a night, timed nights a field, rounds."""

    nights: int
    exposures: int
    timed: int
    rounds: int


QUICK, FULL = Size(1, 2, 1, 3), Size(13, 8, 3, 5)


@dataclass(frozen=True)
class Calibrated:
    """What all films of a night share."""

    night: Simulation
    masters: Masters
    refcat: Refcat
    archive: Archive


def main() -> None:
    """Measure, print the tables, and with ``--json`` the document."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="6 films instead of 312: some minutes")
    parser.add_argument("--json", action="store_true", help="one document on standard output, tables on standard error")
    parser.add_argument("--scratch", type=Path, help="where films are made and deleted: 1 GB (default: the system's)")
    options = parser.parse_args()
    measure.single_thread()
    started, size = time.perf_counter(), QUICK if options.quick else FULL
    data = DATA if DATA.is_dir() else None
    scores: list[FilmScore] = []
    sizes: list[Bytes] = []
    speeds: list[Speed] = []
    if options.scratch:
        Path(options.scratch).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tomoe-bench-", dir=options.scratch) as scratch:
        for night in plan(data, nights=size.nights, exposures=size.exposures):
            timed = sum(s.field == night.field for s in speeds) < size.timed
            more = _work_on(night, Path(scratch), size.rounds if timed else 0)
            for kept, new in zip((scores, sizes, speeds), more, strict=True):
                kept.extend(new)  # type: ignore[attr-defined]
            passed = time.perf_counter() - started
            print(f"{night.field}: {len(scores)} films done, {passed:.0f} s", file=sys.stderr)
    seeing = [round(s.fwhm_arcsec, 2) for s in scores if not s.error]
    about = measure.setup(
        films={f: sum(s.field == f for s in scores) for f in FIELDS}, rounds=size.rounds, quick=options.quick,
        stars="Gaia and synthetic" if data else "synthetic only: no ../shared/data/stars beside the repository",
        faintest_star=FAINTEST, seconds=round(time.perf_counter() - started),
        seeing_arcsec=[min(seeing), max(seeing)] if seeing else None,
        movers_timed="find_movers and measure_movers inside the same runs; there is no streak search yet",
        peers="same targets and aperture; both peers share one matching of stars, for neither package has one",
    )  # fmt: skip
    figures, yardstick = figures_of(scores, sizes, speeds)
    print(report(figures, scores, sizes, speeds), file=sys.stderr if options.json else sys.stdout)
    if options.json:
        print(measure.document(figures, yardstick, about))


def _work_on(night: Night, scratch: Path, rounds: int) -> tuple[list[FilmScore], list[Bytes], list[Speed]]:
    """Make the films of a night, score all, time the first one, delete them."""
    with films(night, scratch) as made:
        archive = Archive.create(made.out.parent / "archive")
        reduce(made.out, archive, made.refcat, progress=False)
        sizes = _bytes(night.field, archive, made)
        dark = make_dark(raw.open_film(made.darks[0]))
        masters = Masters(dark, make_flat(raw.open_film(made.flats[0]), dark))
        calibrated = Calibrated(made, masters, read_refcat(made.refcat), archive)
        scores, speeds = [], []
        for path in made.films:
            film = raw.open_film(path, checksum="")
            truth = film_truth(made, film.exposure.exposure_id)
            try:
                reduction = _reduce(film, calibrated)
            except TomoeError as error:
                scores.append(FilmScore(night.field, film.exposure.where, f"{error.kind}: {error}"))
                continue
            scores.append(score_film(reduction, truth, night.field, film.exposure.where))
            if rounds and not speeds:
                speeds.append(_speed(night.field, path, calibrated, (reduction, truth), rounds))
    return scores, sizes, speeds


def _reduce(film: Film, calibrated: Calibrated) -> Reduction:
    reduction_id = make_reduction_id(film.exposure.exposure_id, film.exposure.detector_id, 1)
    return reduce_film(film, calibrated.masters, calibrated.refcat, reduction_id=reduction_id)


def _bytes(field: str, archive: Archive, night: Simulation) -> list[Bytes]:
    """Bytes of each film in the archive, tables and stack, and of its photometry."""
    products = archive.search()
    raw_bytes = {raw.read_exposure(p).exposure_id: p.stat().st_size for p in night.films}
    made = []
    for exposure_id, rows in products[products["reduction_id"].notna()].groupby("exposure_id"):
        rows = rows[~rows["product"].isin(["film", "dark", "flat"])]
        photometry = rows[rows["product"] == "photometry"]
        a_row = float(photometry["bytes"].sum() / photometry["n_rows"].sum())
        made.append(Bytes(field, float(rows["bytes"].sum() / raw_bytes[int(exposure_id)]), a_row))
    return made


def _speed(field: str, path: Path, c: Calibrated, done: tuple[Reduction, FilmTruth], rounds: int) -> Speed:
    """Ours, the peers and the yardstick in turn on one film; and how well each of them does."""
    reduction = done[0]
    watch, job = measure.Stopwatch(), _job(path, c, reduction)

    def whole() -> None:
        with watch.on("compression", *COMPRESSION), watch.on("movers", *MOVERS):
            run = reduce([path], c.archive, c.night.refcat, force=True, progress=False)
        if run.failed:
            raise SystemExit(f"the archive did not take {path.name}: {run.failed}")

    def recipe() -> Reduction:
        with watch.on("recipe movers", *MOVERS):
            return _reduce(raw.open_film(path, checksum=""), c)

    contenders = {
        "readinto": measure.reader(path), "whole": whole, "recipe": recipe,
        "numpy_sep": lambda: peers.numpy_sep(job), "ccdproc_photutils": lambda: peers.ccdproc_photutils(job),
    }  # fmt: skip
    cpu, results = measure.interleaved(contenders, rounds)
    compression, movers = watch.median("compression", rounds), watch.median("movers", rounds)
    quality = {"ours": _quality(series(reduction)["flux"], None, done)}
    for name in ("numpy_sep", "ccdproc_photutils"):
        quality[name] = _quality(results[name].flux, results[name], done)
    return Speed(
        field, cpu["readinto"], path.stat().st_size, whole=cpu["whole"] - compression, movers=movers,
        compression=compression, common=cpu["recipe"] - watch.median("recipe movers", rounds),
        peers={name: cpu[name] for name in ("numpy_sep", "ccdproc_photutils")}, quality=quality,
    )  # fmt: skip


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
        reduction.stack.fwhm_px, radius_px(reduction),
    )  # fmt: skip


def _quality(flux: np.ndarray, measured: peers.Measured | None, done: tuple[Reduction, FilmTruth]) -> dict[str, float]:  # type: ignore[type-arg]
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


if __name__ == "__main__":
    main()
