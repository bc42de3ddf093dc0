"""The scaling curves, at sizes that take no time."""

import pytest

from bench.pictures import draw_growth
from bench.scaling import CURVES, measure, panels, row, slope
from bench.speed import OURS


@pytest.mark.parametrize("curve", CURVES[:-1], ids=lambda curve: curve.name)
def test_a_curve_has_all_its_points(curve, tmp_path):
    sizes = (100, 900)
    growth = measure(curve, sizes, rounds=2)
    for points in growth.values():
        assert tuple(point.size for point in points) == sizes
        assert abs(slope(points)) < 100
    assert growth[OURS][-1].temporary is not None
    assert row(curve, growth).startswith(f"| {curve.name} | 900 {curve.size} |")
    draw_growth([panels(curve, growth)], tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size
