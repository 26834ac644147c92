"""How many threads torch and BLAS take for a while: small work waits for threads longer than it works."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads(n_threads: int = 1) -> Iterator[None]:
    """Torch on that many threads; as many as before afterwards, whatever happens inside.

    Examples
    --------
    >>> with torch_threads(1):
    ...     torch.get_num_threads()
    1
    """
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_thread(only: str | None = None) -> Iterator[None]:
    """Torch on one thread, and the pools of native libraries too; with `only` ``"blas"`` or ``"openmp"`` those alone.

    On a busy machine small work is thirty times as fast so.
    """
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    with torch_threads(1), threadpool_limits(1, only):
        yield


@contextmanager
def suitable_threads(n_terms: int, few: int) -> Iterator[None]:
    """Torch on one thread, and BLAS too with fewer terms than `few`: waking and awaiting others takes longer than work.

    Torch only casts and moves one picture's cells at a time in a fit. On a busy machine this is ten times as fast.
    """
    with one_thread("blas") if n_terms < few else torch_threads(1):
        yield
