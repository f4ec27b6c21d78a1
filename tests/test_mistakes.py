"""Every mistake that the simulator knows: the film is refused for the right reason, or its rows are flagged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tomoe_explore.archive import Archive
from tomoe_explore.operations.reduce import reduce
from tomoe_explore.schema import Flag
from tomoe_explore.simulate import MISTAKES, simulate

REFUSED = {
    "dome": "dome", "twilight": "twilight", "defocus": "defocus", "pointing": "pointing", "no-dark": "no-masters",
    "other-gain": "no-masters", "trailed": "trailed",
}  # fmt: skip
FLAGGED = {"no-flat": Flag.NO_FLAT, "planet": Flag.SATURATED, "saturated": Flag.SATURATED}
EITHER = {"thick-cloud": ("cloud", Flag.CLOUD)}  # clouds have gaps, and a film of some seconds may meet one


def test_no_mistake_is_forgotten() -> None:
    assert set(MISTAKES) == REFUSED.keys() | FLAGGED.keys() | EITHER.keys()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_or_flagged(mistake: str, tmp_path: Path) -> None:
    night = simulate(tmp_path / "raw", detectors=[112], exposures=1, frames=6, seed=1, progress=False, mistake=mistake)
    archive = Archive.create(tmp_path / "archive")
    run = reduce(night.out, archive, night.refcat, progress=False)
    (film,) = (outcome for outcome in run.outcomes if outcome.kind == "object")
    if film.status == "failed":
        assert film.error_kind == (REFUSED.get(mistake) or EITHER[mistake][0]), film.message
        assert film.traceback == ""
        assert archive.search(product="stack").empty
        return
    assert mistake not in REFUSED
    flags = archive.table("sources")["flags"].to_numpy()
    flag = FLAGGED.get(mistake) or EITHER[mistake][1]
    if flag == Flag.SATURATED:
        assert 10 < (flags & flag > 0).sum() < len(flags) / 2
    else:
        assert (flags & flag > 0).all()
