import numpy as np
import xarray as xr

from helpers.maps import raised


def test_a_map_is_raised_when_it_is_beyond_the_seed_input_raw_or_displayed():
    maps = xr.Dataset(
        {
            "activation_raw": ("unit", [0.0, 2.0, 0.0, np.nan]),
            "activation_display": ("unit", [0.0, 0.0, 2.0, 2.0]),
            "activation_seed": ("unit", [1.0] * 4),
        },
        attrs={"sign": "happy"},
    )
    assert raised(maps).values.tolist() == [False, True, True, True]
    assert raised(maps.assign_attrs(sign="sad")).values.tolist() == [True, True, True, False]
