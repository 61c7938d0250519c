"""One job at a time in a thread of its own: the newest cancels the one before."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol


class StoppedError(BaseException):
    """Raised inside a job that was cancelled; no `except Exception` holds it up."""


class Owner(Protocol):
    """Who starts jobs."""

    def stopped(self) -> None:
        """Learn that the job was stopped, and not by a newer one of the same owner."""


class Newest:
    """A thread that does the newest job; nothing queues up, and nobody waits for a cancelled one.

    A job is called with `check`, which it calls often: it raises StoppedError once the job is
    cancelled.
    """

    def __init__(self):
        """Start without a job."""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="newest")
        self._future: Future | None = None
        self._owner: Owner | None = None
        self._cancelled = threading.Event()

    def is_running_for(self, owner: Owner) -> bool:
        """Whether a job of this owner that nobody cancelled is waiting or at work."""
        is_wanted = owner is self._owner and not self._cancelled.is_set()
        return is_wanted and not self._future.done()

    def start(self, owner: Owner, job: Callable[[Callable[[], None]], object]) -> None:
        """Cancel the job before this one, and do this one as soon as the thread is free."""
        self.cancel(owner)
        self.stop()
        self._owner, self._cancelled = owner, threading.Event()
        self._future = self._pool.submit(_run, job, self._cancelled)

    def cancel(self, owner: Owner) -> None:
        """Cancel the job if it is this owner's, who knows."""
        if owner is self._owner:
            self._cancelled.set()
            self._future.cancel()

    def stop(self) -> None:
        """Cancel the job, if one is running, and tell its owner."""
        owner = self._owner
        if owner and self.is_running_for(owner):
            self.cancel(owner)
            owner.stopped()

    def result(self) -> object:
        """Wait for the newest job and return what it returned; None where it was cancelled.

        Raises:
            Exception: what the job raised.
            KeyboardInterrupt: while waiting; the job is cancelled.
        """
        self.wait()
        is_done = self._future and not self._future.cancelled()
        return self._future.result() if is_done else None

    def wait(self) -> None:
        """Wait until the newest job has ended, however it did.

        Raises:
            KeyboardInterrupt: while waiting; the job is cancelled.
        """
        try:
            wait([self._future] if self._future else [])
        except KeyboardInterrupt:
            self.stop()
            raise


def _run(job: Callable[[Callable[[], None]], object], cancelled: threading.Event) -> object:
    def check() -> None:
        if cancelled.is_set():
            raise StoppedError

    try:
        return job(check)
    except StoppedError:
        return None
