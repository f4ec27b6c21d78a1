"""One real reduction, copied to other exposures and detectors through the archive's own begin, stage and publish."""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa

from tomoe_explore import camera, raw
from tomoe_explore.archive import Archive, sky
from tomoe_explore.archive import stage as stage_module
from tomoe_explore.archive.stage import Staged
from tomoe_explore.data import Masters, Provenance, Reduction
from tomoe_explore.ids import make_reduction_id
from tomoe_explore.reduction.masters import make_dark, make_flat
from tomoe_explore.reduction.recipe import reduce_film
from tomoe_explore.refcat import read_refcat

#: Detections without a reference star are seen so far (deg, sigma) from where they were.
JITTER_DEG = 0.2 / 3600

_IDS = ("source_id", "mover_id", "streak_id")
_POSITIONS = (("ra", "dec"), ("ra1", "dec1"), ("ra2", "dec2"))


@dataclass(frozen=True)
class Template:
    """A reduction, and its stack as it is kept.

    Attributes
    ----------
    reduction : Reduction
    stack : Path
        The compressed file: to compress is a cost of its own.
    """

    reduction: Reduction
    stack: Path

    @classmethod
    def of(cls, films: Path, detector_id: int, scratch: Path) -> Template:
        """The reduction of a detector's first film of the sky in a simulated night."""
        paths: dict[str, list[Path]] = defaultdict(list)
        for path in sorted(raw.find_films([films])):
            exposure = raw.read_exposure(path)
            if exposure.detector_id == detector_id:
                paths[exposure.kind].append(path)
        dark = make_dark(raw.open_film(paths["dark"][0]))
        masters = Masters(dark, make_flat(raw.open_film(paths["flat"][0]), dark))
        path = paths["object"][0]
        exposure = raw.read_exposure(path)
        reduction_id = make_reduction_id(exposure.exposure_id, exposure.detector_id, 1)
        reduction = reduce_film(
            raw.open_film(path), masters, read_refcat(films / "refcat.parquet"), reduction_id=reduction_id
        )  # fmt: skip
        stack = scratch / "stack.fits"
        stage_module.write_stack(reduction, _provenance(reduction, "film"), stack)
        return cls(reduction, stack)

    @property
    def n_rows(self) -> int:
        """Rows of all tables."""
        return sum(table.num_rows for table in self.reduction.tables.values())

    def copy(self, exposure_id: int, detector_id: int, reduction_id: int, offset: tuple[float, float]) -> Reduction:
        """As if another detector had seen these stars ``offset`` (ra, dec in deg) away in another exposure."""
        old = self.reduction.exposure
        mjd = old.mjd_start + (exposure_id - old.exposure_id) * 9.5 / 86400
        exposure = replace(old, exposure_id=exposure_id, detector_id=detector_id, mjd_start=mjd)
        tables = {name: _moved(table, self.reduction, replace(self.reduction, exposure=exposure,
                  reduction_id=reduction_id), offset) for name, table in self.reduction.tables.items()}  # fmt: skip
        return replace(self.reduction, reduction_id=reduction_id, exposure=exposure, tables=tables)


def _moved(table: pa.Table, old: Reduction, new: Reduction, offset: tuple[float, float]) -> pa.Table:
    """A table's rows elsewhere and later, with ids of their own; measured values differ by their errors."""
    rng = np.random.default_rng(new.reduction_id)
    changed = {name: np.full(table.num_rows, value) for name, value in (
        ("reduction_id", new.reduction_id), ("exposure_id", new.exposure.exposure_id),
        ("detector_id", new.exposure.detector_id))}  # fmt: skip
    names = table.column_names
    for name in _IDS:
        if name in names:
            changed[name] = new.reduction_id * 100_000 + table[name].to_numpy() % 100_000
    for name in (n for n in names if n.startswith("mjd")):
        changed[name] = table[name].to_numpy() + new.exposure.mjd_start - old.exposure.mjd_start
    jitter = np.zeros((2, table.num_rows))
    if "ref_id" in names:
        _, which = np.unique(table["source_id"].to_numpy(), return_inverse=True)
        free = table["ref_id"].is_null().to_numpy()
        jitter = rng.normal(0, JITTER_DEG, (2, which.max(initial=0) + 1))[:, which] * free
    for ra, dec in (pair for pair in _POSITIONS if pair[0] in names):
        changed[ra] = (table[ra].to_numpy() + offset[0] + jitter[0]) % 360.0
        changed[dec] = table[dec].to_numpy() + offset[1] + jitter[1]
    if "healpix_29" in names:
        changed["healpix_29"] = sky.healpix_29(changed["ra"], changed["dec"])
    for name in (n for n in ("flux", "flux_err", "background") if n in names):
        changed[name] = table[name].to_numpy() * (1 + 0.01 * rng.standard_normal(table.num_rows))
    columns = [pa.array(changed[f.name], f.type, safe=False) if f.name in changed else table[f.name]
               for f in table.schema]  # fmt: skip
    moved = pa.Table.from_arrays(columns, schema=table.schema)
    keys = [name for name in ("healpix_29", "source_id", "frame") if name in names]
    return moved.sort_by([(name, "ascending") for name in keys]).combine_chunks() if "healpix_29" in names else moved


def _provenance(reduction: Reduction, checksum: str) -> Provenance:
    return Provenance(reduction.reduction_id, checksum, checksum, None, None, "refcat", "0", "1", False,
                      reduction.parameters, {})  # fmt: skip


@dataclass
class Cost:
    """CPU seconds of the archive, and of how many films; the stack's compression is left out."""

    films: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("begin", "stage", "publish"), 0.0))

    def a_film(self, step: str | None = None) -> float | None:
        """Core-seconds a film of a step, or of all."""
        total = sum(self.seconds.values()) if step is None else self.seconds[step]
        return total / self.films if self.films else None


def add_exposures(
    archive: Archive, template: Template, exposures: Sequence[int], detectors: Sequence[int],
    pointing: tuple[float, float], cost: Cost,
) -> None:  # fmt: skip
    """Exposures of some detectors, the telescope ``pointing`` (ra, dec in deg) away from the template's."""
    film = archive.root.parent / "film.fits"
    at = template.reduction.exposure
    home = np.array(camera.detector_center(at.ra, at.dec, at.detector_id))
    for exposure_id in exposures:
        staged: list[Staged] = []
        for detector_id in detectors:
            there = np.array(camera.detector_center(at.ra + pointing[0], at.dec + pointing[1], detector_id))
            film.write_text(f"{exposure_id} {detector_id}")
            staged.append(_add(archive, template, (exposure_id, detector_id), tuple(there - home), film, cost))
        start = time.process_time()
        archive.publish(staged)
        cost.seconds["publish"] += time.process_time() - start
        cost.films += len(staged)


def _add(
    archive: Archive, template: Template, which: tuple[int, int], offset: tuple[float, float], film: Path, cost: Cost
) -> Staged:
    exposure = replace(template.reduction.exposure, exposure_id=which[0], detector_id=which[1])
    checksum = f"xxh3:{which[0]:029d}{which[1]:03d}"
    start = time.process_time()
    reservation = archive.begin(exposure, film, checksum=checksum)
    cost.seconds["begin"] += time.process_time() - start
    assert reservation is not None
    reduction = template.copy(*which, reservation.reduction_id, offset)
    copied = 0.0

    def copy_stack(_: Reduction, __: Provenance, path: Path) -> None:
        nonlocal copied
        begun = time.process_time()
        shutil.copyfile(template.stack, path)
        copied += time.process_time() - begun

    with mock.patch.object(stage_module, "write_stack", copy_stack):
        start = time.process_time()
        staged = archive.stage(reduction, _provenance(reduction, checksum))
        cost.seconds["stage"] += time.process_time() - start - copied
    return staged
