"""What the archive does with rows: overhead of keeping a film, consolidation, cones, replays; measured on one night."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from parts import measure
from parts.copies import Cost, Template, add_exposures
from tomoe_explore import camera, schema
from tomoe_explore.archive import Archive, row_groups, sky
from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.row_groups import Selection
from tomoe_explore.operations.consolidate import consolidate
from tomoe_explore.operations.reduce import reduce
from tomoe_explore.operations.replays import replay_night
from tomoe_explore.simulate import simulate

NIGHT = "2020-08-14"

#: Detectors of exposures of few films.
FEW = (111, 112)

#: Columns of a light curve, and the cone's radius.
COLUMNS = (
    "source_id", "object_id", "refcat", "ref_id", "ra", "dec", "mjd", "flux", "flux_err", "background",
    "exposure_id", "detector_id", "frame", "flags", "reduction_id",
)  # fmt: skip
RADIUS_DEG = 30.0 / 3600

#: The fewest that a plot of a light curve needs.
FEW_COLUMNS = ("ra", "dec", "mjd", "flux", "flux_err")

FIGURES = (
    "consolidate_rows_per_s", "consolidate_rows_per_core_s", "consolidate_revisits_rows_per_core_s",
    "replay_identical", "replayed", "overhead_core_seconds", "overhead_core_seconds_begin",
    "overhead_core_seconds_stage", "overhead_core_seconds_publish", "overhead_core_seconds_2_films", "cone_ms",
    "cone_ms_few_columns", "cone_ms_archive_table", "cone_ms_pyarrow_dataset", "cone_ms_duckdb", "cone_rows",
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """How much: exposures of all detectors, visits of one field by two detectors, cones."""

    exposures: int = 20
    visits: int = 28
    cones: int = 25
    detectors: tuple[int, ...] = camera.DETECTOR_IDS
    frames: int = 18


QUICK = Scale(exposures=2, visits=10, cones=11)


@dataclass
class Rows:
    """What was measured."""

    whole: Cost = field(default_factory=Cost)
    few: Cost = field(default_factory=Cost)
    merged: dict[str, tuple[int, float, float]] = field(default_factory=dict)  # rows, wall s, CPU s
    read_s: float | None = None  # of the files that were merged
    replayed: list[bool] = field(default_factory=list)
    cones: dict[str, float] = field(default_factory=dict)  # ms
    cone_rows: float | None = None
    n_rows: int = 0


def measure_rows(scratch: Path, scale: Scale) -> Rows:
    """Simulate a small night, replay it, copy a reduction of it to many films, consolidate these, look at cones."""
    found = Rows()
    night = simulate(scratch / "raw", night=NIGHT, detectors=list(FEW), exposures=2, frames=scale.frames, seed=1,
                     workers=2, progress=False)  # fmt: skip
    demo = Archive.create(scratch / "demo")
    reduce(night.out, demo, night.out / "refcat.parquet", progress=False)
    found.replayed = [r.identical for r in replay_night(demo, NIGHT, films=night.out, progress=False)]
    template = Template.of(night.out, FEW[0], scratch)
    first = template.reduction.exposure.exposure_id + 1
    archive = Archive.create(scratch / "night" / "archive")
    for k in range(scale.exposures):  # four visits of each field
        add_exposures(archive, template, [first + k], scale.detectors, (7.0 * (k // 4), 0.0), found.whole)
    found.read_s = _read_bytes(archive)
    found.merged["night"] = _by_command(archive)
    found.cones, found.cone_rows, found.n_rows = cones(archive, scale.cones)
    archive = Archive.create(scratch / "revisits" / "archive")
    add_exposures(archive, template, range(first, first + scale.visits), FEW, (0.0, 0.0), found.few)
    found.merged["revisits"] = _here(archive)
    return found


def _read_bytes(archive: Archive) -> float:
    """Seconds to read all files of tables into a buffer."""
    start = time.perf_counter()
    for path in sorted((archive.root / "tables").rglob("*.parquet")):
        measure.reader(path)()
    return time.perf_counter() - start


def _by_command(archive: Archive) -> tuple[int, float, float]:
    """Rows, wall time of the work and CPU time of ``tomoe consolidate`` in two processes, which it starts."""

    def cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = cpu()
    command = "import sys; from tomoe_explore.cli import app; app(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", command, "consolidate", "--workers", "2", "--json", "--archive", str(archive.root)],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    made = json.loads(done.stdout)
    return made["rows"], made["seconds"], cpu() - before


def _here(archive: Archive) -> tuple[int, float, float]:
    """Rows, wall time and CPU time of a consolidation in this process."""
    start, used = time.perf_counter(), time.process_time()
    made = consolidate(archive, progress=False)
    return made.rows, time.perf_counter() - start, time.process_time() - used


def cones(archive: Archive, n: int) -> tuple[dict[str, float], float, int]:
    """Median CPU time (ms) of cones of 30 arcsec about stars, warm; their rows; the rows of all files."""
    p = tables.parts
    parts = archive.registry.rows(p.select().where(p.c.kind == "photometry", p.c.replaced.is_(None)))
    paths = [archive.root / part["path"] for part in parts]
    stars = row_groups.read_rows(paths[:1], schema.TABLES["photometry"].arrow, ["ra", "dec"], Selection())
    some = np.random.default_rng(3).integers(0, stars.num_rows, n)
    places = [(stars["ra"][int(k)].as_py(), stars["dec"][int(k)].as_py()) for k in some]
    readers = _readers(paths) | {"archive_table": partial(_whole, archive)}
    readers["few_columns"] = partial(_own, paths, FEW_COLUMNS)
    rows = {name: [read(*place).num_rows for place in places] for name, read in readers.items()}  # warms
    for name, counted in rows.items():
        assert counted == rows["own"], f"{name} gives other rows"
    taken: dict[str, list[float]] = {name: [] for name in readers}
    for place in places:
        for name, read in readers.items():
            start = time.process_time()
            read(*place)
            taken[name].append(1e3 * (time.process_time() - start))
    total = sum(part["n_rows"] for part in parts)
    return {name: float(np.median(ms)) for name, ms in taken.items()}, float(np.median(rows["own"])), total


def _whole(archive: Archive, ra: float, dec: float) -> pa.Table:
    return archive.table("photometry", position=(ra, dec), radius=f"{RADIUS_DEG!r} deg", columns=COLUMNS)


def _own(paths: Sequence[Path], columns: Sequence[str], ra: float, dec: float) -> pa.Table:
    selection = Selection(healpix_29=tuple(sky.cone_ranges(ra, dec, RADIUS_DEG)))
    return _exact(row_groups.read_rows(paths, schema.TABLES["photometry"].arrow, columns, selection), ra, dec)


def _exact(rows: pa.Table, ra: float, dec: float) -> pa.Table:
    distance = sky.separation_deg(ra, dec, rows["ra"].to_numpy(), rows["dec"].to_numpy())
    return rows.filter(pa.array(distance <= RADIUS_DEG))


def _readers(paths: list[Path]) -> dict[str, Callable[[float, float], pa.Table]]:
    """The archive's reader of rows, and peers, on the same files and ranges of HEALPix; all end with the exact cone."""
    import duckdb
    import pyarrow.dataset as ds

    arrow = schema.TABLES["photometry"].arrow
    data = ds.dataset([str(path) for path in paths], schema=arrow, format="parquet")
    files, names = [str(path) for path in paths], ", ".join(COLUMNS)
    database = duckdb.connect()

    def dataset(ra: float, dec: float) -> pa.Table:
        place = ds.field("healpix_29")
        wanted = None
        for first, last in sky.cone_ranges(ra, dec, RADIUS_DEG):
            inside = (place >= first) & (place < last)
            wanted = inside if wanted is None else wanted | inside
        return _exact(data.to_table(columns=list(COLUMNS), filter=wanted), ra, dec)

    def duck(ra: float, dec: float) -> pa.Table:
        ranges = sky.cone_ranges(ra, dec, RADIUS_DEG)
        wanted = " or ".join(f"(healpix_29 >= {first} and healpix_29 < {last})" for first, last in ranges)
        query = f"select {names} from read_parquet({files}) where {wanted}"
        return _exact(database.sql(query).to_arrow_table(), ra, dec)

    return {"own": partial(_own, paths, COLUMNS), "pyarrow_dataset": dataset, "duckdb": duck}


def row_figures(found: Rows) -> dict[str, float | bool | None]:
    """The figures; null where nothing was measured."""
    figures: dict[str, float | bool | None] = dict.fromkeys(FIGURES)
    for name, figure in (("night", ""), ("revisits", "revisits_")):
        if name in found.merged:
            rows, wall, cpu = found.merged[name]
            figures[f"consolidate_{figure}rows_per_core_s"] = rows / cpu
            if name == "night":
                figures["consolidate_rows_per_s"] = rows / wall
    if found.replayed:
        figures |= {"replay_identical": all(found.replayed), "replayed": len(found.replayed)}
    figures["overhead_core_seconds"] = found.whole.a_film()
    figures |= {f"overhead_core_seconds_{step}": found.whole.a_film(step) for step in found.whole.seconds}
    figures["overhead_core_seconds_2_films"] = found.few.a_film()
    for name, ms in found.cones.items():
        figures["cone_ms" if name == "own" else f"cone_ms_{name}"] = ms
    figures["cone_rows"] = found.cone_rows
    return figures


def row_yardstick(found: Rows) -> Mapping[str, Any]:
    """Wall time of reading the bytes that were merged, and how many rows they are."""
    return {"readinto_of_merged_files_s": found.read_s, "photometry_rows": found.n_rows}
