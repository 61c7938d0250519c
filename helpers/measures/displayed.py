"""Where the activation of a map, raw and displayed, stands among those of real images."""

import numpy as np
import xarray as xr


def against_data(maps: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
    """Where the maps' activations stand among those of real images.

    Args:
        maps: what `happy_maps` returns.
        statistics: of the same model, from `activation_scale` or `unit_statistics`.

    Returns:
        Over `of` ("raw", "display") and the maps' leading dims: `activation`; `z_score`, in
        standard deviations of the data; `ratio`, to the data's maximum, NaN where that is not
        above 0; `percentile` (0..100) of the data below it, interpolated between the minimum, the
        quantiles that the statistics hold and the maximum. And `display_gap`: raw minus display.

    Raises:
        ValueError: the statistics are of other weights.
    """
    if statistics.attrs["weight_digest"] != maps.attrs["weight_digest"]:
        raise ValueError(
            "statistics must be of the maps' model, got those of weights"
            f" {statistics.attrs['weight_digest'][:12]} for {maps.attrs['weight_digest'][:12]}"
        )
    data = statistics.sel(
        layer=maps.attrs["layer"], objective=maps.attrs["objective"], unit=maps["unit"]
    ).drop_vars(("layer", "objective"))
    raw, display = (maps[f"activation_{of}"].astype("float64") for of in ("raw", "display"))
    activation = xr.concat([raw, display], "of").assign_coords(of=["raw", "display"])
    points = xr.concat(
        [
            data["min"].expand_dims(level=[0.0]),
            data["quantile"],
            data["max"].expand_dims(level=[1.0]),
        ],
        "level",
    )
    percentile = xr.apply_ufunc(
        lambda a, x, y: np.interp(a, x, 100 * y),
        activation,
        points,
        points["level"],
        input_core_dims=[[], ["level"], ["level"]],
        vectorize=True,
    )
    return xr.Dataset(
        {
            "activation": activation,
            "z_score": (activation - data["mean"]) / data["std"].where(data["std"] > 0),
            "ratio": activation / data["max"].where(data["max"] > 0),
            "percentile": percentile.where(activation.notnull()),
            "display_gap": raw - display,
        }
    )
