"""Grids of maps declared in TOML: optimized once, stored by digest, resumed."""

from helpers.sweeps.study import Study, open_results

__all__ = [
    "Study",
    "open_results",
]
