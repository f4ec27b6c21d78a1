"""The benchmarks start, and what they compute from numbers is right. Nothing here is timed: benchmarks do that."""

from __future__ import annotations

import ast
import doctest
import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture
def part(repository: Path, monkeypatch: pytest.MonkeyPatch):
    """Imports a module of ``benchmarks/parts`` as the scripts do, which lie beside that folder."""
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))

    def load(name: str) -> ModuleType:
        return importlib.import_module(f"parts.{name}")

    return load


def test_script_says_how_it_is_used(repository: Path) -> None:
    script = repository / "benchmarks" / "reduction.py"
    done = subprocess.run([sys.executable, str(script), "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {"--quick", "--json", "--scratch"} <= set(done.stdout.replace("[", " ").replace("]", " ").split())


@pytest.mark.parametrize("name", ["measure", "scores", "films"])
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
    only_scintillation = scores.scatter_model(np.array([1e12]), 10.0, 0.007, (5.0, 0.9))[0]
    assert only_scintillation == pytest.approx(0.007, rel=1e-3)


@pytest.mark.parametrize(("wrong_errors", "bias"), [(1.0, 0.0), (0.5, 0.0), (1.0, 0.02)])
def test_bias_chi2_and_scatter_of_made_up_fluxes(part, wrong_errors: float, bias: float) -> None:
    scores = part("scores")
    rng = np.random.default_rng(1)
    mag = rng.uniform(14.0, 15.0, 400)
    true = 10 ** (-0.4 * mag) * 1e12
    expected = np.full(400, 0.02)
    flux = true[:, None] * (1 + bias + 0.02 * rng.standard_normal((400, 18)))
    error = np.repeat(0.02 * wrong_errors * true[:, None], 18, axis=1)
    columns = scores.photometry_scores(flux, error, {"flux": true, "mag": mag}, expected, np.ones(400, bool))
    bins = scores.by_magnitude(columns, 20)
    assert [b.low for b in bins] == [14.0, 14.5]
    for b in bins:
        assert b.bias == pytest.approx(bias, abs=0.002)
        assert b.chi2 == pytest.approx(1 / wrong_errors**2, rel=0.1)  # about the film's own zero point
        assert b.scatter_ratio == pytest.approx(1.0, abs=0.05)


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


def test_figures_without_measurements_are_null(part) -> None:
    report, measure = part("reduction_report"), part("measure")
    figures, yardstick = report.figures_of([], [], [])
    document = json.loads(measure.document(figures | {"chi2_max": float("nan")}, yardstick, {}))
    assert set(document) == {"figures", "yardstick", "setup"}
    assert set(document["figures"]) == set(report.FIGURES)
    assert all(value is None for value in document["figures"].values())


def test_unsolved_and_wrongly_solved_films_count(part) -> None:
    report, film_score = part("reduction_report"), part("film_score")
    good = film_score.FilmScore("sparse", "a", offset=0.05, rms=(0.04, 0.06), zeropoint=(-0.003, 0.002))
    films = [good, film_score.FilmScore("sparse", "b", "astrometry: no match"),
             film_score.FilmScore("sparse", "c", offset=70.0, rms=(40.0, 50.0), zeropoint=(1.0, 0.1))]  # fmt: skip
    figures, _ = report.figures_of(films, [], [])
    assert figures["solved_fraction"] == pytest.approx(1 / 3)
    assert figures["astrometric_rms_arcsec"] == 0.06
    assert figures["zeropoint_error_mag"] == 0.003
    text = report.report(figures, films, [], [])
    assert "no match" in text
    assert "70.0 arcsec off" in text


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
    assert len(watch.taken["dumps"]) == 1
    assert watch.median("dumps", 1) > 0


PROMISED = """
core_seconds_per_film core_seconds_without_movers_streaks over_readinto faster_than_ccdproc_photutils
faster_than_numpy_sep compression_core_seconds astrometric_rms_arcsec solved_fraction zeropoint_error_mag flux_bias_max
chi2_min chi2_max bright_scatter_ratio completeness_sn7 spurious_fraction time_error_ms archive_over_raw bytes_per_row
"""


def test_figures_are_those_that_are_promised(part) -> None:
    assert list(part("reduction_report").FIGURES) == PROMISED.split()


def test_parts_have_docstrings(repository: Path) -> None:
    for path in (repository / "benchmarks").rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path
