"""Object ids by position: against the truth, in any order, and night after night."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tests.archive.test_row_groups import CENTERS, _around
from tomoe_explore.archive.light_curve import SAME_OBJECT_DEG
from tomoe_explore.archive.objects import object_ids
from tomoe_explore.archive.sky import healpix_29, separation_deg
from tomoe_explore.ids import make_reduction_id

Sources = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def sources(center: tuple[float, float], *, seed: int = 2, films: int = 12, objects: int = 60) -> Sources:
    """Source ids, positions with errors of 0.2 arcsec, and the true object; objects are 12 arcsec apart and more."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(objects)))
    x, y = (np.stack(np.divmod(np.arange(objects), side)) - side / 2) * 12 / 3600
    found: list[list[np.ndarray]] = []
    for film in range(films):
        seen = rng.permutation(objects)[: 2 * objects // 3]
        ids = make_reduction_id(357754 + film // 2, 112 + film % 2, 1) * 100_000 + np.arange(len(seen))
        dx, dy = (v[seen] + rng.normal(0, 0.2 / 3600, len(seen)) for v in (x, y))
        found.append([ids, *_around(*center, np.radians(np.hypot(dx, dy)), np.arctan2(dx, dy)), seen])
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))  # type: ignore[return-value]


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two labellings put the same rows together."""
    pairs = set(zip(a.tolist(), b.tolist(), strict=True))
    return len(pairs) == len(set(a.tolist())) == len(set(b.tolist()))


@pytest.mark.parametrize("center", CENTERS)
def test_objects_are_the_true_ones(center: tuple[float, float]) -> None:
    ids, ra, dec, truth = sources(center)
    found = object_ids(ids, ra, dec)
    assert same_partition(found, truth)
    # an object's id is the place of its founder, the source with the lowest id
    for one in np.unique(truth):
        founder = np.flatnonzero(truth == one)[np.argmin(ids[truth == one])]
        assert set(found[truth == one].tolist()) == {int(healpix_29(ra[founder], dec[founder])[0])}


def test_order_does_not_matter() -> None:
    ids, ra, dec, _ = sources(CENTERS[0])
    shuffled = np.random.default_rng(1).permutation(len(ids))
    assert (object_ids(ids[shuffled], ra[shuffled], dec[shuffled]) == object_ids(ids, ra, dec)[shuffled]).all()


def test_night_after_night_gives_what_all_nights_at_once_give() -> None:
    ids, ra, dec, _ = sources(CENTERS[1])
    known = np.zeros(0, np.int64)
    found = np.zeros(len(ids), np.int64)
    for exposure in np.unique(ids // 10**11):
        night = ids // 10**11 == exposure
        found[night] = object_ids(ids[night], ra[night], dec[night], known)
        known = np.concatenate((known, found[night]))
    assert (found == object_ids(ids, ra, dec)).all()


def test_two_sources_of_a_film_are_two_objects() -> None:
    """A pair 1 arcsec apart stays a pair, each matched to the nearer one; the id of one place is given once."""
    step = 1.0 / 3600
    ids = np.array([make_reduction_id(e, 112, 1) * 100_000 + k for e in range(357754, 357760) for k in (0, 1)])
    ra = np.full(12, 310.0)
    dec = np.array([-12.0, -12.0 + step] * 3 + [-12.0 + step, -12.0] * 3)
    found = object_ids(ids, ra, dec)
    assert same_partition(found, (dec > -12.0 + step / 2).astype(int))
    twins = object_ids(ids[:4], ra[:4], np.full(4, -12.0))
    assert len(set(twins.tolist())) == 2
    assert Counter(twins.tolist()) == dict.fromkeys(twins.tolist(), 2)
    third = object_ids([*ids[4:6].tolist(), int(ids[5]) + 1], ra[:3], np.full(3, -12.0), twins)
    assert len(set(third.tolist())) == 3
    assert set(twins.tolist()) < set(third.tolist())


def test_how_far_an_object_reaches() -> None:
    reach = SAME_OBJECT_DEG
    ids = np.array([make_reduction_id(e, 112, 1) * 100_000 for e in (357754, 357755, 357756)])
    near, far = (object_ids(ids[:2], [310.0, 310.0], [-12.0, -12.0 + f * reach]) for f in (0.999, 1.001))
    assert near[0] == near[1]
    assert far[0] != far[1]
    chain = object_ids(ids, [310.0] * 3, [-12.0, -12.0 + 0.8 * reach, -12.0 + 1.6 * reach])
    assert chain[0] == chain[1] != chain[2]  # no chain grows beyond the reach of its founder


def test_many_at_random_are_within_reach_of_their_founder_and_no_two_of_a_film_share_one() -> None:
    rng = np.random.default_rng(8)
    n, films = 300, 30
    ids = (make_reduction_id(357754, 112, 1) + 1_000_000 * np.repeat(np.arange(films), n)) * 100_000
    ids += np.tile(np.arange(n), films)
    ra, dec = rng.uniform(359.995, 360.005, n * films) % 360, rng.uniform(-0.005, 0.005, n * films)
    found = object_ids(ids, ra, dec)
    founders = {int(o): k for k, o in reversed(list(enumerate(found)))}  # sources come by ascending id here
    k = np.array([founders[int(o)] for o in found])
    assert (separation_deg(0.0, 0.0, ra, dec) < 0.01).all()
    apart = np.hypot((ra - ra[k] + 180) % 360 - 180, dec - dec[k])
    assert apart.max() <= SAME_OBJECT_DEG * 1.0001
    assert len(set(zip((ids // 100_000).tolist(), found.tolist(), strict=True))) == n * films
    assert (found[k] == healpix_29(ra[k], dec[k])).all()


def test_no_sources() -> None:
    assert object_ids([], [], []).shape == (0,)
    assert object_ids([], [], [], [1, 2]).dtype == np.int64
