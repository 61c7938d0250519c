"""Notebooks executed, turned into pages, shared; figures reproduced."""
