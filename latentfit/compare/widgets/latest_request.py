"""Work for one thread, of which only the newest of each kind is done."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Request = TypeVar("Request")


class LatestRequest(Generic[Request]):
    """Does requests on a thread of its own; one that waits is replaced by a newer one of its kind.

    The thread lives only while there is work: nothing is left to close.

    Parameters
    ----------
    work : callable
        Takes a request. What it raises goes to `failed`, and the next request is done.
    failed : callable
        Takes the exception.

    Attributes
    ----------
    n_done, n_dropped : int
    """

    def __init__(self, work: Callable[[Request], None], failed: Callable[[Exception], None]) -> None:
        self._work, self._failed = work, failed
        self._waiting: dict[str, Request] = {}
        self._changed = threading.Condition()
        self._is_running = False
        self.n_done = self.n_dropped = 0

    def ask(self, request: Request, kind: str = "") -> None:
        """Do this next, instead of whatever of the same kind still waits; returns at once."""
        with self._changed:
            self.n_dropped += kind in self._waiting
            self._waiting[kind] = request
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="latentfit-newest").start()

    def wait(self, seconds: float | None = None) -> bool:
        """Until nothing is left to do; False when that takes longer than `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._is_running, seconds)

    def _run(self) -> None:
        while (request := self._next()) is not None:
            try:
                self._work(request)
            except Exception as error:  # noqa: BLE001 - a request that fails must not end the thread for those to come
                self._failed(error)
            self.n_done += 1

    def _next(self) -> Request | None:
        with self._changed:
            if not self._waiting:
                self._is_running = False
                self._changed.notify_all()
                return None
            return self._waiting.pop(next(iter(self._waiting)))
