"""A worker process: start it, ask it, end it."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
PEERS = ("tf-keras-vis", "xplique")
"""Tools with an environment of their own, as `make bench` makes it."""

Ask = Callable[..., dict]


class Worker:
    """One tool in its own process; a context manager that ends it.

    Attributes:
        tool: a name in `contenders.TOOLS`.
        process: the process it runs in.
    """

    def __init__(self, tool: str):
        """Start the process.

        Raises:
            FileNotFoundError: the tool's environment has not been made.
        """
        self.tool = tool
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [python_of(tool), "-m", "benchmarks.worker", tool],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            cwd=ROOT,
            text=True,
        )

    def ask(self, do: str, **request) -> dict:
        """Send a request and wait for the answer.

        Raises:
            RuntimeError: the tool failed, or its process ended.
        """
        try:
            print(json.dumps({"do": do} | request), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        answer = json.loads(line) if line else {"error": self._last_words()}
        if "error" in answer:
            raise RuntimeError(f"{self.tool} failed at {do} {request}:\n{answer['error']}")
        return answer

    def __enter__(self) -> "Worker":
        """Return itself."""
        return self

    def __exit__(self, *exception) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()
        self._stderr.close()

    def _last_words(self) -> str:
        self.process.wait()
        self._stderr.seek(0)
        return f"its process ended ({self.process.returncode})\n{self._stderr.read()[-2000:]}"


def python_of(tool: str) -> str:
    """The Python of a tool's environment.

    Raises:
        FileNotFoundError: it has not been made.
    """
    if tool not in PEERS:
        return sys.executable
    path = ROOT / "benchmarks" / ".peers" / tool / "bin" / "python"
    if not path.exists():
        raise FileNotFoundError(f"no environment for {tool}: run `make bench`, which makes it")
    return str(path)
