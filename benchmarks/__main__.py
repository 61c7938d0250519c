"""Run the benchmark: `make bench`; `python -m benchmarks --quick` is a tiny one without peers."""

import argparse
import datetime
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tqdm.auto import tqdm

from benchmarks import machine
from benchmarks.measure import FULL, Plan, measure
from benchmarks.plot import plot
from benchmarks.process import Worker
from benchmarks.quick import quick_plan
from benchmarks.report import markdown

RESULTS = Path(__file__).parent / "results"


def run(plan: Plan, folder: Path, start=Worker) -> str:
    """Measure, and write `benchmark.json` (every record), `.md` and `.png`.

    Args:
        plan: how much.
        folder: the results of each machine lie in a folder of its own in it.
        start: starts a tool's worker.

    Returns:
        The Markdown.
    """
    records = list(tqdm(measure(plan, start), desc="measurements", unit=""))
    this_machine, date = machine.describe(), f"{datetime.date.today():%Y-%m-%d}"
    text = markdown(plan, records, this_machine, date)
    folder = folder / machine.folder_of(this_machine)
    folder.mkdir(parents=True, exist_ok=True)
    content = {"date": date, "machine": this_machine, "records": records}
    (folder / "benchmark.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / "benchmark.md").write_text(text)
    cpu, cores = this_machine["CPU"], this_machine["cores"]
    plot(records, f"{cpu}, {cores} cores, {date}").savefig(folder / "benchmark.png", dpi=110)
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny model, no peers, no meaning")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write into")
    chosen = parser.parse_args(arguments)
    if not chosen.quick:
        print(run(FULL, chosen.results))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        print(run(quick_plan(Path(folder)), Path(folder) / "results"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
