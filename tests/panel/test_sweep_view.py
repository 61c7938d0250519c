from functools import partial

import numpy as np
import pytest
import xarray as xr
from tiny import tiny_net

from helpers import maps
from helpers.maps import dataset
from helpers.maps.spec import MapSpec
from helpers.panel import parts
from helpers.panel.background import Newest
from helpers.panel.controls import Controls
from helpers.panel.elements import Status
from helpers.panel.sweep_view import SweepView


@pytest.fixture
def runner():
    return Newest()


@pytest.fixture
def build(runner):
    """Make a sweep of 2 units x 3 TV weights over a model, its controls and what it keeps."""

    def make(model):
        kept = []
        controls = Controls(
            model, None, Status(), lambda: None, weights="absolute", steps=3, seed=1
        )
        view = SweepView(controls, runner, kept.append)
        view.row_values.value, view.column_values.value = "0, 2", "0, 0.5, 1"
        return view, controls, kept

    return make


@pytest.fixture
def sweep(build):
    return build(tiny_net())[0]


def test_what_a_start_would_do_is_announced_as_the_axes_change(sweep):
    assert sweep.status.text == "2 x 3 maps to optimize."
    sweep.row_values.value = "0, 999"
    assert sweep.status.text == "Error: units of conv must be integers 0 to 2, got 999"
    sweep.choose(seed=[1, 2], unit=[0, 1, 2])
    assert sweep.status.text == "2 x 3 maps to optimize."


def test_the_grid_is_what_happy_maps_returns(sweep, runner):
    sweep.start_button.click()
    runner.wait()
    options = {"tv_weights": [0, 0.5, 1], "seeds": 1, "steps": 3, "progress": False}
    optimize = partial(maps.happy_maps, tiny_net(), "conv", **options)
    expected = optimize([0, 2])
    xr.testing.assert_allclose(sweep.dataset, expected, rtol=1e-5)  # a row alone rounds otherwise
    rows = [optimize(unit) for unit in (0, 2)]
    xr.testing.assert_equal(sweep.dataset, xr.concat(rows, "unit"))
    assert sweep.dataset.attrs["spec"] == expected.attrs["spec"] == sweep.spec.to_toml()
    assert (sweep.grid.rows, sweep.grid.columns) == (
        ["unit 0", "unit 2"],
        ["TV 0", "TV 0.5", "TV 1"],
    )
    one = dataset.select(expected, unit=1, tv_weight=2)
    assert sweep.grid.cells[1][2] == {
        "src": parts.data_url(parts.png(parts.pixels(one))),
        "name": f"unit 2, TV 1: {parts.reached(one)}",
        "is_raised": bool(one["raised"].item()),
    }
    assert (sweep.status.text, sweep.status.value, sweep.status.max) == (
        "Done: 6 maps. Choose one to enlarge it.",
        6,
        6,
    )


def test_the_grid_fills_row_by_row(sweep):
    seen = []
    sweep.grid.observe(lambda change: seen.append(len(change["new"])), names="cells")
    progress = []
    sweep.status.observe(lambda change: progress.append(change["new"]), names="value")
    sweep.render()
    assert (seen, progress) == ([1, 2], [3, 6])


def test_stop_keeps_the_rows_that_are_done_and_start_goes_on(sweep, runner, monkeypatch):
    optimized, compute = [], maps.compute

    def counted(model, spec, **options):
        optimized.append(spec.units)
        return compute(model, spec, **options)

    monkeypatch.setattr(maps, "compute", counted)

    def stop_after_a_row(_):
        sweep.grid.unobserve_all("cells")
        sweep.stop_button.click()

    sweep.grid.observe(stop_after_a_row, names="cells")
    sweep.start_button.click()
    runner.wait()
    assert sweep.status.text == (
        "Stopped after 0 of 6 maps. Start sweep goes on where it stopped."
    ) or sweep.status.text.startswith("Stopped after 3 of 6 maps")
    assert sweep.dataset.sizes["unit"] == 1
    assert dataset.spec_of(sweep.dataset).units == (0,)
    sweep.start_button.click()
    runner.wait()
    assert sweep.dataset.sizes["unit"] == 2
    assert optimized == [(0,), (2,)]


def test_a_model_that_changed_is_optimized_again(build):
    model = tiny_net()
    sweep, *_ = build(model)
    sweep.render()
    before = sweep.dataset
    model.set_weights([weight * 2 for weight in model.get_weights()])
    sweep.render()
    assert not np.array_equal(before["raw"], sweep.dataset["raw"])


def test_a_chosen_map_is_enlarged_kept_and_opened(build):
    sweep, controls, kept = build(tiny_net())
    sweep.render()
    assert sweep.keep_button.disabled and sweep.open_button.disabled
    sweep.grid.chosen = [1, 2]
    one = dataset.select(sweep.dataset, unit=1, tv_weight=2)
    assert sweep.image.png == parts.png(parts.pixels(one))
    assert sweep.image.caption == parts.line(one)
    assert sweep.links.value.count("download=") == 2
    sweep.keep_button.click()
    assert [dataset.spec_of(k).units for k in kept] == [(2,)]
    sweep.open_button.click()
    assert (controls.unit.value, controls.tv_weight.value, controls.seed.value) == (2, 1, 1)
    sweep.render()
    assert sweep.keep_button.disabled and sweep.grid.chosen == []
    assert sweep.image.png == b"" and sweep.links.value == ""


def test_other_axes(build):
    sweep, controls, _ = build(tiny_net())
    sweep.rows.value, sweep.columns.value = "seed", "lp_weight"
    assert (sweep.row_values.value, sweep.column_values.value) == ("0-3", "0.1, 1, 10, 100")
    sweep.row_values.value, sweep.column_values.value = "0-1", "1, 2"
    controls.unit.value = 1
    sweep.render()
    assert sweep.dataset["raw"].sizes["seed"] == sweep.dataset["raw"].sizes["lp_weight"] == 2
    assert sweep.dataset["unit"].values.tolist() == [1]
    sweep.grid.chosen = [1, 0]
    assert "unit 1, activation\nTV 10, LP 1, seed 1" in sweep.image.details


def test_the_grid_names_what_it_is_of_and_is_marked_when_that_is_not_chosen(build):
    sweep, controls, _ = build({"a": tiny_net(), "b": tiny_net(seed=1)})
    sweep.follow()
    assert not sweep.grid.is_stale
    sweep.render()
    assert sweep.grid.caption.startswith("Of a, conv.")
    for control, other, back in (
        (controls.layer, "out", "conv"),
        (controls.model, "b", "a"),
    ):
        control.value = other
        sweep.follow()
        assert sweep.grid.is_stale
        control.value = back
        sweep.follow()
        assert not sweep.grid.is_stale
    controls.unit.value = 1  # an axis of the sweep
    sweep.follow()
    assert not sweep.grid.is_stale
    sweep.choose(seed=[0], tv_weight=[1])
    sweep.render()
    assert sweep.grid.caption == "Of a, conv, unit 1."
    controls.unit.value = 2
    sweep.follow()
    assert sweep.grid.is_stale


def test_choose_takes_two_axes(sweep):
    sweep.choose(lp_weight=[0.5, 1e-4], seed=[3])
    assert (sweep.rows.value, sweep.columns.value) == ("lp_weight", "seed")
    assert (sweep.spec.lp_weights, sweep.spec.seeds) == ((0.5, 1e-4), (3,))
    for wrong in ({"unit": [1]}, {"unit": [1], "colour": [2]}):
        with pytest.raises(ValueError, match="axes must be two of"):
            sweep.choose(**wrong)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("columns", "unit", "columns must be another axis than rows"),
        ("row_values", "0, 9", "units of conv must be integers 0 to 2, got 9"),
        ("row_values", "0, 0", "units must be distinct"),
        ("column_values", "much", "tv_weights must be numbers like"),
        ("column_values", "-1", "tv_weights must be finite numbers of at least 0"),
    ],
)
def test_what_is_not_legal_is_announced(sweep, name, value, words):
    getattr(sweep, name).value = value
    sweep.start_button.click()
    assert words in sweep.status.text and sweep.status.is_error
    with pytest.raises(ValueError, match=words):
        sweep.render()


def test_an_error_in_the_optimization_is_announced(sweep, runner, monkeypatch):
    monkeypatch.setattr(maps, "compute", lambda *_, **__: 1 / 0)
    sweep.start_button.click()
    runner.wait()
    assert sweep.status.text == "Error: ZeroDivisionError: division by zero"


def test_the_figure_stays_and_names_what_is_in_it(sweep):
    with pytest.raises(ValueError, match="start a sweep first"):
        sweep.figure()
    sweep.render()
    figure = sweep.figure()
    assert "Rows: unit 0, unit 2. Columns: TV 0, TV 0.5, TV 1." in figure.alt
    assert len(figure.axes) == 6


def test_put_chooses_the_axes_that_have_several_values(sweep):
    sweep.put(MapSpec("conv", (1,), lp_weights=(0.5, 2), seeds=(0, 3)))
    assert (sweep.rows.value, sweep.columns.value) == ("lp_weight", "seed")
    assert (sweep.row_values.value, sweep.column_values.value) == ("0.5, 2", "0, 3")
    sweep.put(MapSpec("conv", (1, 2), tv_weights=(3,)))
    assert (sweep.spec.units, sweep.spec.tv_weights) == ((1, 2), (3.0,))
    with pytest.raises(ValueError, match="a sweep has two axes"):
        sweep.put(MapSpec("conv", (1, 2), tv_weights=(1, 2), seeds=(0, 1)))


def test_every_control_of_the_sweep_has_a_name_of_its_own(sweep):
    controls = (sweep.rows, sweep.row_values, sweep.columns, sweep.column_values)
    buttons = (sweep.start_button, sweep.stop_button, sweep.keep_button, sweep.open_button)
    names = [one.description for one in (*controls, *buttons)]
    assert all(names) and len(set(names)) == len(names)
