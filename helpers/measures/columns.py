"""Names of numbers: snake_case in Datasets, words for people."""

LABELS = {
    "apoz": "APoZ",
    "high_frequency_share": "high-frequency share",
    "z_score": "z-score",
}


def label(column: str) -> str:
    """A column's name as people read it: "high_frequency_share" is "high-frequency share"."""
    for name, words in LABELS.items():
        column = column.replace(name, words)
    return column.replace("_", " ")
