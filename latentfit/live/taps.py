"""A tap: one method of one object is watched, and gives what it always gave."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, final

from latentfit.errors import PreviewError


@final
class Tap:
    """Calls of ``instance.method`` reported to a watcher, from `open` to `close`.

    The instance gets a class of its own: a subclass of the same name whose method calls the original with the very
    arguments that it was given, and returns what that returned. Nothing is put into the instance's ``__dict__``, which
    some pipelines copy and write back; copies of the instance are not watched. Signature and annotations stay:
    pipelines look at them to decide what to pass.

    Parameters
    ----------
    instance : object
    method : str
    after : callable
        Called after the method with its arguments by name (without self), what it returned, and what `before` gave.
        Must not raise.
    before : callable or None
        Called before it.

    Raises
    ------
    PreviewError
        When the method is watched already, or replaced on this very instance.
    """

    def __init__(
        self,
        instance: Any,
        method: str,
        after: Callable[[Mapping[str, Any], Any, Any], None],
        before: Callable[[], Any] | None = None,
    ) -> None:
        self._instance, self._method, self._after, self._before = instance, method, after, before
        self._original: type = type(instance)
        self._tapped: type | None = None

    def open(self) -> None:
        """Begin to watch."""
        name = type(self._instance).__name__
        there = getattr(type(self._instance), "_latentfit_tap", None)
        if there is not None and there.watches(self._instance):
            raise PreviewError(
                f"{name}: is previewed already; leave the other preview first, or give one preview several "
                "approximations: preview(pipe, [a, b])"
            )
        if self._method in vars(self._instance):
            raise PreviewError(
                f"{name}.{self._method}: was replaced on this object by another program; expected the method of its "
                f"class; undo that, or make a new one: {name}.from_config(scheduler.config)"
            )
        self._original = type(self._instance)
        self._tapped = self._tapped_class()
        self._instance.__class__ = self._tapped

    def watches(self, instance: object) -> bool:
        """Whether it is open, and on this very object rather than a copy."""
        return self._tapped is not None and instance is self._instance

    def close(self) -> None:
        """Stop watching; the instance has its own class again."""
        tapped, self._tapped = self._tapped, None
        if tapped is not None and type(self._instance) is tapped:
            self._instance.__class__ = self._original

    def _tapped_class(self) -> type:
        original = getattr(self._original, self._method)
        signature = inspect.signature(original)

        @functools.wraps(original)
        def watched(this: Any, *args: Any, **kwargs: Any) -> Any:
            if not self.watches(this):
                return original(this, *args, **kwargs)
            noted = None if self._before is None else self._before()
            output = original(this, *args, **kwargs)
            arguments = dict(signature.bind(this, *args, **kwargs).arguments)
            self._after(arguments, output, noted)
            return output

        own = {
            self._method: watched,
            "_latentfit_tap": self,
            "__module__": self._original.__module__,
            "__qualname__": self._original.__qualname__,
            "__doc__": self._original.__doc__,
        }
        made: type = type(self._original)(self._original.__name__, (self._original,), own)
        return made
