"""Grids of maps declared in TOML: optimized once, stored by digest, resumed."""

from helpers.sweeps.pieces import Piece, in_pieces, optimize
from helpers.sweeps.runner import optimize_missing
from helpers.sweeps.study import Declaration, Study, open_results, read_study

__all__ = [
    "Declaration",
    "Piece",
    "Study",
    "in_pieces",
    "open_results",
    "optimize",
    "optimize_missing",
    "read_study",
]
