"""The benchmarks start, and what they compute from numbers is right. Nothing here is timed: benchmarks do that."""

from __future__ import annotations

import ast
import doctest
import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.archive.reductions import make_exposure, make_reduction
from tomoe_explore.archive import Archive
from tomoe_explore.archive.reserve import Reservation
from tomoe_explore.ids import make_reduction_id

STARS = Path(__file__).resolve().parents[2] / "shared" / "data" / "stars"


@pytest.mark.parametrize("name", ["reduction", "archive", "movers"])
def test_script_says_how_it_is_used(repository: Path, name: str) -> None:
    script = repository / "benchmarks" / f"{name}.py"
    done = subprocess.run([sys.executable, str(script), "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {"--quick", "--json", "--scratch"} <= set(done.stdout.replace("[", " ").replace("]", " ").split())


def test_registered_products_are_found(part, tmp_path: Path) -> None:
    searches, registered = part("searches"), part("registered")
    survey = registered.Survey(nights=1, exposures_a_night=2)
    archive, _ = registered.fill(tmp_path / "archive", None, survey)
    timing = searches.Timing()
    searches.run_searches({"sqlite": archive}, survey, 3, timing)
    assert set(timing.rows["night_all"]) == {survey.n_films + survey.n_products}
    timing.backup_s["sqlite"], timing.restore_s["sqlite"] = searches.keep(archive, tmp_path / "restored", None)
    figures = searches.figures_of(timing)
    assert list(figures)[:3] == ["search_p95_ms", "searches_per_s", "search_p99_ms"]
    assert figures["search_p99_ms"] >= figures["search_p95_ms"] > 0
    assert "night_all" in searches.report(figures, timing)
    assert set(searches.figures_of(searches.Timing()).values()) == {None}


def test_copies_of_a_reduction_are_consolidated_and_read(part, tmp_path: Path) -> None:
    copies, merged = part("copies"), part("merged")
    archive = Archive.create(tmp_path / "archive")
    exposure = make_exposure(357754, 112)
    reservation = Reservation(make_reduction_id(357754, 112, 1), exposure, "film", "film", "")
    rng = np.random.default_rng(1)
    ra, dec = 311.2 + rng.uniform(-0.2, 0.2, 60), -13.4 + rng.uniform(-0.1, 0.1, 60)
    refs = [None if k % 3 else k for k in range(60)]
    reduction, _ = make_reduction(reservation, ra=ra, dec=dec, ref_id=refs)
    (tmp_path / "stack.fits").write_bytes(b"stack")
    template, found = copies.Template(reduction, tmp_path / "stack.fits"), merged.Rows()
    copies.add_exposures(archive, template, [357800, 357801], [111, 112], (0.0, 0.0), found.whole)
    assert found.whole.films == 4
    assert all(found.whole.a_film(step) > 0 for step in ("begin", "stage", "publish"))
    photometry = archive.table("photometry").to_pandas()
    assert len(photometry) == 4 * 60 * 18
    assert photometry["source_id"].nunique() == 4 * 60
    stars = photometry[photometry["ref_id"].notna()].groupby(["detector_id", "ref_id"])[["ra", "dec"]]
    assert np.abs(stars.max() - stars.min()).to_numpy().max() < 1e-9  # a star of the catalog stays where it is
    rows, wall, cpu = merged._here(archive)
    assert rows >= len(photometry)
    assert wall > 0 < cpu
    found.merged["night"] = rows, wall, cpu
    objects = archive.table("sources").to_pandas()["object_id"].dropna()
    assert objects.value_counts().max() == 2  # two visits of each place, by two detectors apart
    found.cones, found.cone_rows, found.n_rows = merged.cones(archive, 3)  # all readers give the same rows
    assert found.n_rows == len(photometry)
    assert found.cone_rows >= 18
    found.replayed = [True, False]
    figures = merged.row_figures(found)
    assert figures["replay_identical"] is False
    assert figures["consolidate_rows_per_s"] == pytest.approx(rows / wall)
    assert figures["overhead_core_seconds"] == pytest.approx(sum(
        figures[f"overhead_core_seconds_{step}"] for step in ("begin", "stage", "publish")))  # fmt: skip
    assert min(figures[name] for name in figures if name.startswith("cone_ms")) > 0
    assert set(merged.row_figures(merged.Rows()).values()) == {None}
    assert set(figures) == set(merged.FIGURES)


@pytest.mark.parametrize("name", ["measure", "scores", "films", "registered", "mover_films", "shuffled"])
def test_examples_run(part, name: str) -> None:
    result = doctest.testmod(part(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted
    assert not result.failed


def test_contamination_is_the_light_of_others(part) -> None:
    scores = part("scores")
    x, y, flux = np.array([100.0, 103.0, 500.0]), np.array([100.0, 100.0, 500.0]), np.array([10.0, 1000.0, 10.0])
    stars = x, y, flux
    share = scores.contamination(stars, stars, 3.0, 3.0)
    assert share[0] > 50  # a hundred times brighter, one FWHM away
    assert share[1] < 0.02
    assert share[2] < 0.01
    # a close companion is another star, unless the target is a detection, which stands for both
    close = np.array([100.0, 101.0]), np.array([100.0, 100.0]), np.array([10.0, 10.0])
    assert scores.contamination(close, close, 3.0, 3.0)[0] > 0.5
    assert scores.contamination(close, close, 3.0, 3.0, own=2.5)[0] == 0


def test_noise_models_agree_with_sums_over_pixels(part) -> None:
    scores = part("scores")
    fwhm, beta = 4.0, 3.5
    grid = np.arange(-100, 101)
    r = np.hypot(grid[:, None], grid[None, :])
    alpha = fwhm / 2 / np.sqrt(2 ** (1 / beta) - 1)
    image = (beta - 1) / (np.pi * alpha**2) * (1 + (r / alpha) ** 2) ** -beta
    assert scores.moffat_share(5.0, fwhm, beta) == pytest.approx(image[r <= 5.0].sum(), abs=0.01)
    best = 300.0 * np.sqrt((image**2).sum()) / 50.0  # far below the sky: N = 1 / sum(P^2)
    assert scores.stack_snr(np.array([300.0]), 50.0, (fwhm, beta), 1)[0] == pytest.approx(best, rel=0.01)
    only_scintillation = scores.scatter_model(np.array([1e12]), 10.0, 0.007, (5.0, 0.9)).sum(axis=0)[0]
    assert np.sqrt(only_scintillation) == pytest.approx(0.007, rel=1e-3)


@pytest.mark.parametrize(("wrong_errors", "bias"), [(1.0, 0.0), (0.5, 0.0), (1.0, 0.02)])
def test_bias_chi2_and_scatter_of_made_up_fluxes(part, wrong_errors: float, bias: float) -> None:
    scores = part("scores")
    rng = np.random.default_rng(1)
    mag = rng.uniform(14.0, 15.0, 400)
    true = 10 ** (-0.4 * mag) * 1e12
    expected = np.outer([0.5, 0.3, 0.2], np.full(400, 0.02**2))
    flux = true[:, None] * (1 + bias + 0.02 * rng.standard_normal((400, 18)))
    error = np.repeat(0.02 * wrong_errors * true[:, None], 18, axis=1)
    columns = scores.photometry_scores(flux, error, {"flux": true, "mag": mag}, expected, np.ones(400, bool))
    bins = scores.by_magnitude(columns, 20)
    assert [b.low for b in bins] == [14.0, 14.5]
    for b in bins:
        assert b.bias == pytest.approx(bias, abs=0.002)
        assert b.chi2 == pytest.approx(1 / wrong_errors**2, rel=0.1)  # about the film's own zero point
        assert b.scatter_ratio == pytest.approx(1.0, abs=0.05)
        assert (b.expected, *b.shares) == pytest.approx((0.02, 0.5, 0.3, 0.2))


def test_saturation_is_where_the_middle_pixel_is_full(part) -> None:
    scores = part("scores")
    mag = scores.saturation_mag(25.0, 20_000.0, 0.0, 3.0, 3.5)
    peak = 10 ** (0.4 * (25.0 - mag)) * scores.moffat_share(1 / np.sqrt(np.pi), 3.0, 3.5)
    assert peak == pytest.approx(20_000.0)
    assert scores.saturation_mag(25.0, 20_000.0, 5_000.0, 3.0, 3.5) > mag


def test_detections_are_counted(part) -> None:
    scores = part("scores")
    rng = np.random.default_rng(2)
    x, y = (v.ravel().astype(float) for v in np.meshgrid(np.arange(100, 1900, 60), np.arange(100, 1000, 60)))
    n = len(x)
    scene = {"x": x, "y": y, "snr": np.full(n, 7.0), "flux": np.full(n, 100.0), "moving": np.empty((0, 4))}
    found = rng.random(n) < 0.8
    false = np.array([130.0, 190.0]), np.array([130.0, 190.0])
    detections = (np.append(x[found] + 0.3, false[0]), np.append(y[found], false[1]), np.full(found.sum() + 2, 7.5))
    counts = scores.count_detections(detections, scene, 3.0)
    assert (counts.stars, counts.found) == (n, found.sum())
    assert (counts.detections, counts.spurious) == (found.sum() + 2, 2)
    assert counts.completeness == pytest.approx(found.mean())
    trail = scene | {"moving": np.array([[120.0, 120.0, 200.0, 200.0]])}  # a streak explains both
    assert scores.count_detections(detections, trail, 3.0).spurious == 0
    glint = scene | {"moving": np.array([[131.0, 130.0, 131.0, 130.0]])}  # a point: it explains one
    assert scores.count_detections(detections, glint, 3.0).spurious == 1


def test_nights_differ_in_what_matters(part, tmp_path: Path) -> None:
    films = part("films")
    size = films.Size(nights=13, exposures=8, cloudy=1, timed=(0, 3, 6), rounds=5)
    synthetic = films.plan(None, size)
    assert {n.field for n in synthetic} == {"synthetic"}
    nights = films.plan(STARS, size) if STARS.is_dir() else synthetic
    clear = [n for n in nights if n.cloud == 0]
    fields = {n.field for n in nights}
    assert sum(n.exposures for n in clear) == 104 * len(fields)
    assert len({n.name for n in nights}) == len(nights)  # each has a folder of its own
    for field in fields:
        of_field = [n for n in clear if n.field == field]
        assert {n.seeing for n in of_field} == set(films.SEEINGS)
        assert sum(n.moon > 0 for n in of_field) >= 3
        assert max(n.pointing_error_arcmin for n in of_field) == films.AMISS_ARCMIN[field]
        assert [n.field for n in nights if n.cloud > 0].count(field) == 1
    # the peers' matching of stars cannot take a header that is amiss by more
    assert {n.pointing_error_arcmin for n in nights if n.timed} == {films.POINTING_ARCMIN}
    assert not any(n.timed for n in nights if n.cloud > 0)


def test_movers_cover_what_lies_between_their_positions(part) -> None:
    films = part("films")
    positions = {"mover_id": [7, 5, 5], "frame": [0, 1, 0], "x": [9.0, 2.0, 1.0], "y": [9.0, 4.0, 3.0]}
    tracks = films._tracks({name: np.array(column) for name, column in positions.items()})
    assert tracks.tolist() == [[1, 3, 2, 4], [2, 4, 2, 4], [9, 9, 9, 9]]
    assert films._tracks({name: np.array([]) for name in positions}).shape == (0, 4)


def test_figures_without_measurements_are_null(part) -> None:
    figures_of, work = part("figures").figures_of, part("work")
    report, measure = part("reduction_report"), part("measure")
    figures, yardstick = figures_of(work.Results())
    document = json.loads(measure.document(figures | {"chi2_max": float("nan")}, yardstick, {}))
    assert set(document) == {"figures", "yardstick", "setup"}
    assert list(document["figures"])[: len(PROMISED.split())] == PROMISED.split()
    assert all(value is None for value in document["figures"].values())
    assert "Not solved" not in report.report(figures, work.Results())


def test_unsolved_and_wrongly_solved_films_count(part) -> None:
    FilmScore, work = part("film_score").FilmScore, part("work")
    clear = [
        FilmScore("sparse", "a", seeing=3.0, offset=0.05, rms=(0.04, 0.06), zeropoint=(-0.003, 0.002)),
        FilmScore("dense", "b", seeing=8.0, offset=0.05, rms=(0.12, 0.06), zeropoint=(0.005, 0.002)),
        FilmScore("sparse", "c", "astrometry: no match", 3.0),
        FilmScore("sparse", "d", seeing=3.0, offset=70.0, rms=(40.0, 50.0), zeropoint=(1.0, 0.1)),
    ]
    cloudy = [FilmScore("dense", "e", "cloud: 2 mag", 3.0)]
    results = work.Results(clear[:1]) + work.Results(clear[1:], cloudy)
    figures, _ = part("figures").figures_of(results)
    assert figures["solved_fraction"] == 0.5
    assert figures["solved_wrongly"] == 1
    assert figures["cloudy_solved_fraction"] == 0
    assert figures["astrometric_rms_arcsec"] == pytest.approx(0.09)  # the median of the films
    assert figures["astrometric_rms_arcsec_worst"] == 0.12
    assert figures["zeropoint_error_mag"] == pytest.approx(0.004)
    assert figures["zeropoint_error_mag_worst"] == 0.005
    assert figures["zeropoint_pull_rms"] == pytest.approx(np.sqrt((1.5**2 + 2.5**2) / 2))
    text = part("reduction_report").report(figures, results)
    assert "no match" in text
    assert "70.0 arcsec off" in text
    assert "cloud: 2 mag" in text


def test_what_is_timed_is_there(part) -> None:
    costs = part("costs")
    for place in (*costs.OURS_ALONE, *costs.MOVERS, *costs.COMPRESSION):
        module, function = place.split(":")
        assert callable(getattr(importlib.import_module(module), function, None)), place


def test_costs_are_medians_of_rounds_and_nights(part) -> None:
    costs, work = part("costs"), part("work")
    speeds = []
    for factor in (1.0, 2.0, 4.0):
        rounds = factor * np.array([1.1, 1.0, 9.0])
        seconds = {"readinto": 0.1 * rounds, "whole": rounds, "movers": 0.2 * rounds, "compression": 0.5 * rounds,
                   "recipe": 0.6 * rounds, "common": 0.5 * rounds, "numpy_sep": 5.0 * rounds,
                   "numpy_sep_tutorial": 7.0 * rounds, "ccdproc_photutils": 50.0 * rounds}  # fmt: skip
        speeds.append(costs.Speed("sparse", 3.0, 10**8, seconds, {}))
    results = work.Results(speeds=speeds, rates=[work.Rate("sparse", 10, 30.0), work.Rate("dense", 10, 60.0)])
    figures, yardstick = part("figures").figures_of(results)
    assert figures["core_seconds_per_film"] == pytest.approx(2.2)
    assert figures["core_seconds_per_film_worst"] == pytest.approx(4.4)
    assert figures["core_seconds_per_film_least"] == pytest.approx(2.0)
    assert figures["core_seconds_without_movers_streaks"] == pytest.approx(0.8 * 2.2)
    assert figures["over_readinto"] == pytest.approx(10)
    assert (figures["faster_than_numpy_sep"], figures["faster_than_ccdproc_photutils"]) == pytest.approx((10, 100))
    assert figures["recipe_faster_than_numpy_sep_worst"] == pytest.approx(5 / 0.6)
    assert figures["without_movers_streaks_over_readinto"] == pytest.approx(8)
    assert figures["simulated_films_per_minute"] == pytest.approx(10)
    assert yardstick["readinto_core_seconds"] == pytest.approx(0.22)


def test_peers_find_their_stars(part) -> None:
    peers = part("peers")
    rng = np.random.default_rng(3)
    n = 400
    ra0, dec0 = 310.0, -12.0
    scale = peers.PIXEL_SCALE / 3600
    x, y = rng.uniform(20, 1980, n), rng.uniform(20, 1108, n)
    mag = rng.uniform(12, 17, n)
    dec = dec0 + (y - 563.5) * scale
    ra = ra0 - (x - 999.5) * scale / np.cos(np.radians(dec))
    turn = np.radians(0.3)
    u, v = x - 999.5, y - 563.5
    seen_x = 999.5 + u * np.cos(turn) - v * np.sin(turn) + 35.0
    seen_y = 563.5 + u * np.sin(turn) + v * np.cos(turn) - 28.0
    blank = np.zeros((1, 1), np.float32)
    job = peers.Job(Path(), blank, blank, (ra0, dec0), ra, dec, mag, x, y, 3.0, 3.0)
    found, known = peers.match_stars(job, seen_x, seen_y, 10 ** (-0.4 * mag))
    assert len(found) > 0.95 * n
    assert (found == known).mean() > 0.99


def test_stopwatch_times_what_is_called_inside(part) -> None:
    watch = part("measure").Stopwatch()
    with watch.on("dumps", "json:dumps"):
        json.dumps([0] * 1000)
        json.dumps([1] * 1000)
    json.dumps([2])
    assert watch.blocks("dumps").shape == (1,)
    assert watch.blocks("dumps")[0] > 0


PROMISED = """
core_seconds_per_film core_seconds_without_movers_streaks over_readinto faster_than_ccdproc_photutils
faster_than_numpy_sep compression_core_seconds astrometric_rms_arcsec solved_fraction zeropoint_error_mag flux_bias_max
chi2_min chi2_max bright_scatter_ratio completeness_sn7 spurious_fraction time_error_ms archive_over_raw bytes_per_row
"""


def test_figures_are_those_that_are_promised(part) -> None:
    assert list(part("figures").FIGURES) == PROMISED.split()


def test_parts_have_docstrings(repository: Path) -> None:
    for path in (repository / "benchmarks").rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path
