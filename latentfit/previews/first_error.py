"""Errors that must not stop what they happen beside."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from latentfit.errors import LatentfitWarning


class FirstError:
    """Keeps the first error, counts all, and warns once.

    Attributes
    ----------
    first : Exception or None
    n_errors : int
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self.first: Exception | None = None
        self.n_errors = 0

    @contextmanager
    def kept(self, *, is_told: bool = False) -> Iterator[None]:
        """An error inside is kept, and what comes after the block goes on; Ctrl-C still stops everything.

        With `is_told` it is warned of even if it is not the first.
        """
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever happens here must not stop the run
            self.note(error, is_told=is_told)

    def note(self, error: Exception, *, is_told: bool = False) -> None:
        """Keep an error that was met elsewhere."""
        self.n_errors += 1
        if self.first is not None and not is_told:
            return
        self.first = self.first or error
        with suppress(Warning):  # where warnings are errors, this one must not stop the run either
            told = f"{type(error).__name__}: {error}"
            warnings.warn(LatentfitWarning(told, place=self._what, remedy="the run goes on"), stacklevel=2)
