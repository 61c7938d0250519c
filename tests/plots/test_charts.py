import numpy as np
import pandas as pd
import pytest
import xarray as xr

from helpers import plots


def maps(tv_weight=0.1, objective="activation", value=0.0):
    dims = ("unit", "tv_weight", "seed")
    grid = np.full((2, 1, 3), value)
    return xr.Dataset(
        {"raw": (dims, grid), "activation_raw": (dims, grid)},
        {"unit": [4, 5], "tv_weight": [tv_weight], "seed": range(3)},
        {"objective": objective, "layer": "out", "steps": 3},
    )


def test_named_maps_become_columns_of_a_dim_of_their_own():
    joined = plots.as_columns({"a": maps(), "b": maps(1.0, "pre-activation", 2.0)})
    assert joined["series"].values.tolist() == ["a", "b"]
    assert joined["tv_weight"].dims == ("series",)
    assert joined["tv_weight"].values.tolist() == [0.1, 1.0]
    assert float(joined["raw"].sel(series="b", unit=4, seed=0)) == 2
    assert joined.attrs == {
        "objective": "activation | pre-activation",
        "layer": "out",
        "steps": 3,
    }


def test_maps_that_agree_keep_their_dims_and_long_ones_must_agree():
    joined = plots.as_columns({"a": maps(), "b": maps().sel(tv_weight=0.1)}, dim="start")
    assert joined["raw"].sizes == {"start": 2, "unit": 2, "tv_weight": 1, "seed": 3}
    with pytest.raises(ValueError, match="differ in .'seed'"):
        plots.as_columns({"a": maps(), "b": maps().isel(seed=[0, 1])})


def test_bars_are_as_long_as_the_shares_and_put_in_words():
    shares = pd.DataFrame({"noise": [0.25, 0.97], "image": [0.75, 0.03]}, index=["one", "two"])
    figure = plots.stacked_bars(shares, title="What repeats.", x_label="share of units")
    bars = figure.axes[0].patches
    assert [bar.get_width() for bar in bars] == pytest.approx([0.25, 0.97, 0.75, 0.03])
    assert [bar.get_x() for bar in bars] == [0, 0, 0.25, 0.97]
    assert [text.get_text() for text in figure.axes[0].texts] == ["25%", "97%", "75%", ""]
    assert figure.alt == "What repeats. one: noise 25%, image 75%. two: noise 97%, image 3%."


@pytest.mark.parametrize(("panels", "hidden"), [(2, 0), (4, 2)])
def test_panels_draw_every_line_of_every_variable(panels, hidden):
    values = np.arange(6.0).reshape(2, 3)
    data = xr.Dataset(
        {f"m{i}": (("objective", "tv_weight"), values + i) for i in range(panels)},
        {"objective": ["p", "q"], "tv_weight": [0.1, 1.0, 10.0]},
    )
    figure = plots.line_panels(data, "tv_weight", title="Lines.")
    assert [axis.get_visible() for axis in figure.axes].count(False) == hidden
    assert figure.axes[1].lines[1].get_ydata().tolist() == [4, 5, 6]
    assert figure.axes[0].get_xscale() == "log"
    assert "m0 from 0 to 5" in figure.alt and "p, q" in figure.alt


def test_lines_and_matrix_describe_themselves():
    values = xr.DataArray(
        [[0.1, 0.9], [0.2, 0.3]],
        {"unit": [0, 1], "tv_weight": [1e-3, 1.0]},
        ("unit", "tv_weight"),
    )
    lines = plots.line_plot(values, "tv_weight", title="T", y_label="share, 0..1")
    assert lines.axes[0].get_xscale() == "log" and "0.1 to 0.9" in lines.alt
    assert [line.get_ydata().tolist() for line in lines.axes[0].lines] == values.values.tolist()
    square = plots.matrix(values.rename(tv_weight="other_unit"), title="M")
    assert square.axes[0].images[0].get_clim() == (-1, 1)
    np.testing.assert_array_equal(square.axes[0].images[0].get_array(), values)
