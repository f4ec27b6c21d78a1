"""A survey in a registry: reductions of all detectors with their products, but no files."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from tomoe_explore import camera
from tomoe_explore.archive import Archive, registry, sky
from tomoe_explore.archive.layout import exposure_part_id
from tomoe_explore.ids import make_reduction_id

#: Tables of which each exposure has a file.
KINDS = ("photometry", "sources", "frames")


@dataclass(frozen=True)
class Survey:
    """So many nights of 30 exposures of 84 detectors, each exposure on one of the survey's fields.

    Examples
    --------
    >>> Survey(nights=400).n_products
    1044000
    >>> Survey(nights=2).night(1)
    '2020-08-15'
    """

    nights: int
    exposures_a_night: int = 30

    @property
    def n_films(self) -> int:
        """Films, and reductions."""
        return self.nights * self.exposures_a_night * len(camera.DETECTOR_IDS)

    @property
    def n_products(self) -> int:
        """A stack a film, and the files of tables."""
        return self.n_films + self.nights * self.exposures_a_night * len(KINDS)

    def night(self, n: int) -> str:
        """Name of a night."""
        return (date(2020, 8, 14) + timedelta(days=n)).isoformat()

    def fields(self) -> np.ndarray:
        """Centres of the exposures (ra, dec in deg): 7,000 square degrees from -20 deg up, seen again and again."""
        rng = np.random.default_rng(1)
        grid = np.array(list(product(np.arange(0.0, 360.0, 9.0), np.arange(-20.0, 60.0, 9.0))))
        return grid[rng.integers(len(grid), size=self.nights * self.exposures_a_night)]


def make_archive(directory: Path, url: str | None) -> Archive:
    """An empty archive; its registry is at a URL, or SQLite in it."""
    if url:
        os.environ["TOMOE_DATABASE"] = url
    try:
        return Archive.create(directory)
    finally:
        os.environ.pop("TOMOE_DATABASE", None)


def fill(directory: Path, url: str | None, survey: Survey) -> tuple[Archive, float]:
    """An archive with the survey in its registry, and the seconds it took."""
    archive = make_archive(directory, url)
    start = time.perf_counter()
    with archive.registry.writing() as connection:
        for table, rows in _rows(survey):
            connection.execute(sa.insert(table), rows)
        connection.exec_driver_sql("ANALYZE")
    return archive, time.perf_counter() - start


def _rows(survey: Survey) -> Iterator[tuple[sa.Table, list[dict[str, Any]]]]:
    words = dict.fromkeys(("object", "project", "observer", "quality"), "survey")
    fields = survey.fields()
    code = {"checksum": "code", "code_version": "1", "code_dirty": False, "parameters": "{}", "environment": "{}"}
    yield registry.settings, [code]
    for n, (ra, dec) in enumerate(fields.tolist()):
        night, exposure_id, mjd = survey.night(n // survey.exposures_a_night), 300_000 + n, 59075.5 + n / 30
        yield registry.exposures, [
            words | {"exposure_id": exposure_id, "night": night, "mjd_start": mjd, "n_frames": 18,
                     "frame_interval": 0.5, "ra": ra, "dec": dec, "flags": 0, "generation": 1}
        ]  # fmt: skip
        films, reductions = _of_exposure(exposure_id, night, mjd, ra, dec)
        yield registry.films, films
        yield registry.reductions, reductions
        yield registry.parts, [_part(kind, exposure_id, night) for kind in KINDS]


def _part(kind: str, exposure_id: int, night: str) -> dict[str, Any]:
    name = exposure_part_id(kind, exposure_id, 1)
    return {
        "part_id": name, "kind": kind, "night": night, "exposure_id": exposure_id, "generation": 1, "bytes": 10**8,
        "path": f"tables/{kind}/{night}/{name}.parquet", "checksum": f"xxh3:{exposure_id:032x}", "n_rows": 3_000_000,
    }  # fmt: skip


def _of_exposure(exposure_id: int, night: str, mjd: float, ra: float, dec: float) -> tuple[list[dict[str, Any]], ...]:
    films, reductions = [], []
    detectors = camera.DETECTOR_IDS
    centers = np.array([camera.detector_center(ra, dec, d) for d in detectors])
    cells = sky.cells(centers[:, 0], centers[:, 1], registry.CELL_ORDER).tolist()
    measures = dict.fromkeys(("exptime", "zeropoint", "zeropoint_err", "fwhm", "sky", "depth"), 1.0)
    alike = measures | dict.fromkeys(("owner_host", "owner_started", "refcat", "dark_id", "flat_id"), "benchmark")
    alike |= {"started": night, "finished": night, "status": "done", "settings": "code", "owner_pid": 1, "mjd": mjd}
    alike |= {"generation": 1, "bytes": 10**6, "astrometric_rms": 0.1, "n_stars": 1000}
    alike |= {f"n_{kind}": 30_000 for kind in KINDS}
    for detector_id, (at_ra, at_dec), cell in zip(detectors, centers.tolist(), cells, strict=True):
        this = {"exposure_id": exposure_id, "detector_id": detector_id, "night": night}
        this |= {"ra": at_ra, "dec": at_dec, "cell": cell}
        reduction_id = make_reduction_id(exposure_id, detector_id, 1)
        checksum = f"xxh3:{reduction_id:032x}"
        films.append(this | {"film_checksum": checksum, "path": f"raw/{reduction_id}.fits", "size": 87_552_000,
                             "mtime_ns": 10**18, "kind": "object"})  # fmt: skip
        dx = 0.33 / np.cos(np.radians(at_dec))
        outline = sky.footprint([at_ra + dx, at_ra - dx, at_ra - dx, at_ra + dx],
                                [at_dec - 0.186, at_dec - 0.186, at_dec + 0.186, at_dec + 0.186])  # fmt: skip
        reductions.append(this | alike | {
            "reduction_id": reduction_id, "film_checksum": checksum, "checksum": checksum, "footprint": outline,
            "path": f"stacks/{night}/{exposure_id:08d}/v001/{reduction_id}.fits"})  # fmt: skip
    return films, reductions
