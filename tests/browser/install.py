"""What the browser tests need beside Python: a Chromium and axe-core. Run it to install them.

It never fails: it prints what it could not install, and the tests that need that are skipped, or
fail where the environment has CI set.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
AXE_VERSION = "4.14.1"
AXE_FOLDER = ROOT / ".browser"
AXE = AXE_FOLDER / "node_modules" / "axe-core" / "axe.min.js"


def system_chromium() -> str | None:
    """Path of a Chromium that the system has, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for path in map(shutil.which, names) if path), None)


def main() -> None:
    """Install what is missing, as root by Debian's packages, else by Playwright."""
    may_apt = hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get")
    if not system_chromium() and may_apt:
        _apt("chromium")
    if not system_chromium():
        _run(sys.executable, "-m", "playwright", "install", "chromium")
    if not AXE.exists() or f"axe v{AXE_VERSION}" not in AXE.read_text()[:200]:
        if not shutil.which("npm") and may_apt:
            _apt("npm")
        quiet = ("--no-save", "--no-audit", "--no-fund", "--silent")
        _run("npm", "install", *quiet, "--prefix", AXE_FOLDER, f"axe-core@{AXE_VERSION}")


def _apt(package: str) -> None:
    _run("apt-get", "update", "-qq")
    _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", package)


def _run(*command: str | Path) -> None:
    line = " ".join(map(str, command))
    try:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        print(f"done: {line}")
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"could not: {line} ({error}); browser tests that need it cannot run")


if __name__ == "__main__":
    main()
