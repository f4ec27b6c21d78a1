"""What moved, drawn on a stack, without a browser: on the small reduced night."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tomoe_explore as te
from tomoe_explore.archive import Archive
from tomoe_explore.errors import NotFoundError
from tomoe_explore.views.style import GREEN, PALE_BLUE, RED
from tomoe_explore.views.track_view import TrackView


@pytest.fixture(scope="module")
def view(demo: Path) -> TrackView:
    return te.views.tracks(te.open_archive(demo / "archive"), night="2020-08-14")


@pytest.fixture(scope="module")
def truth(demo: Path) -> dict[str, pd.DataFrame]:
    return {
        name: pd.read_parquet(demo / "raw" / "truth" / f"{name}.parquet") for name in ("mover_positions", "streaks")
    }


def _show(view: TrackView, row: int) -> int:
    label, product_id = view._list.options[row]
    view.product_id = product_id
    return int(label.split()[1].rstrip(","))


def test_tracks_lie_on_the_movers(view, truth):
    for row in range(3):
        true = truth["mover_positions"]
        true = true[true["exposure_id"] == _show(view, row)]
        tracks = zip(view._tracks.data["x"], view._tracks.data["y"], strict=True)
        off = [np.hypot(x[0] - 0.5 - true["x"].iloc[0], y[0] - 0.5 - true["y"].iloc[0]) for x, y in tracks]
        assert min(off) < 2
        at = int(np.argmin(off))
        assert view._rings.data["mover_id"][at] == str(view.movers["mover_id"].iloc[at])
        assert view._rings.data["rate"][at] == pytest.approx(view.movers["rate"].iloc[at])


def test_lines_run_beside_the_streaks(view, truth):
    for row in range(3):
        true = truth["streaks"]
        true = true[true["exposure_id"] == _show(view, row)].iloc[0]
        ends = {(true["x1"], true["y1"]), (true["x2"], true["y2"])}
        rails = list(zip(view._rails.data["x"], view._rails.data["y"], strict=True))
        middle = [np.mean([[x - 0.5, y - 0.5] for x, y in rails[k : k + 2]], axis=0) for k in range(0, len(rails), 2)]
        off = [min(np.hypot(m[0][k] - x, m[1][k] - y) for k in (0, 1) for x, y in ends) for m in middle]
        assert min(off) < 6
        first, second = (np.array(rail) for rail in rails[:2])
        assert np.hypot(*(first - second)) == pytest.approx([18, 18])


def test_the_list_counts_what_is_drawn(view):
    for label, product_id in view._list.options:
        view.product_id = product_id
        n, m = len(view.movers), len(view.streaks)
        assert label.endswith(f": {n} mover{'s' * (n != 1)}, {m} streak{'s' * (m != 1)}")
    view._list.value = view._list.options[1][1]
    assert view.product_id == view._list.options[1][1]


def test_the_picture_is_the_stack(view, demo):
    _show(view, 0)
    picture, pixels = view._pixels.data["image"][0], te.open_archive(demo / "archive").read_stack(view.product_id).data
    assert picture.shape == pixels.shape and picture.dtype == np.uint8
    y, x = np.unravel_index(np.nanargmax(pixels), pixels.shape)
    assert picture[y, x] == 255 and 30 < np.median(picture) < 120


def test_class_and_rate_are_said(view):
    usual = {"streak_id": 1, "class_probability": 0.9, "mag": 12.0, "frame_first": 3, "frame_last": 3, "length": 60.0,
             "x1": 10.0, "y1": 20.0, "x2": 60.0, "y2": 20.0}  # fmt: skip
    streaks = [
        usual | {"class": "satellite", "rate": 1234.4},
        usual | {"class": "meteor", "rate": None},
        usual | {"class": "glint", "rate": None, "x2": 10.0},
    ]
    view._draw_streaks(streaks)
    view._draw_names([], streaks)
    assert view._rails.data["speed"] == ["1234″/s"] * 2 + ["rate undetermined"] * 2
    assert view._rails.data["colour"] == [PALE_BLUE] * 2 + [GREEN] * 2
    assert view._rails.data["y"][0].tolist() == [11.5, 11.5] and view._rails.data["y"][1].tolist() == [29.5, 29.5]
    assert (view._glints.data["x"], view._glints.data["colour"]) == ([10.5], [RED])
    assert view._names.data["text"] == ["satellite, 1234″/s", "meteor, rate undetermined", "glint"]


def test_what_is_not_there_is_named(view, demo, tmp_path):
    with pytest.raises(NotFoundError, match="no stack 'stack-1' in this view"):
        view.product_id = "stack-1"
    with pytest.raises(NotFoundError, match="no stack of night 1999-01-01 in"):
        te.views.tracks(te.open_archive(demo / "archive"), night="1999-01-01")
    with pytest.raises(NotFoundError, match="no stack in"):
        te.views.tracks(Archive.create(tmp_path / "archive"))
