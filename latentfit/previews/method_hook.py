"""A hook: methods of one object are watched, and give what they always gave."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

from latentfit.errors import PreviewError


@dataclass(frozen=True)
class Watch:
    """Who is told of a method's calls.

    Attributes
    ----------
    after : callable or None
        Called after the method with its arguments by name (without self), what it returned, and what `before` gave.
        Must not raise. Not called where the method raises.
    before : callable or None
        Called before it with its arguments by name.
    at_end : callable or None
        Called whether it returns or raises.
    of_copy : callable or None
        Called after the method of a copy of the instance, with the copy, the arguments by name, and what it returned.
        Must not raise.
    """

    after: Callable[[Mapping[str, Any], Any, Any], None] | None = None
    before: Callable[[Mapping[str, Any]], Any] | None = None
    at_end: Callable[[], None] | None = None
    of_copy: Callable[[Any, Mapping[str, Any], Any], None] | None = None


@final
class MethodHook:
    """Calls of some methods of an instance reported to watchers, from `open` to `close`.

    The instance gets a class of its own: a subclass of the same name whose methods call the originals with the very
    arguments that they were given, and return what those returned. Nothing is put into the instance's ``__dict__``,
    which some pipelines copy and write back; copies of the instance are not watched unless asked for. Signature and
    annotations stay: pipelines look at them to decide what to pass.

    Parameters
    ----------
    instance : object
    watches : mapping of str to Watch
        By the method's name.

    Raises
    ------
    PreviewError
        When the instance is watched already, or a method is replaced on this very instance.
    """

    def __init__(self, instance: Any, watches: Mapping[str, Watch]) -> None:
        self._instance, self._watches = instance, watches
        self._original: type = type(instance)
        self._tapped: type | None = None

    def open(self) -> None:
        """Begin to watch the method."""
        name = type(self._instance).__name__
        there = getattr(type(self._instance), "_latentfit_tap", None)
        if there is not None and there.watches(self._instance):
            raise PreviewError(
                f"{name}: is previewed already",
                remedy=(
                    "leave the other preview first, or give one preview several approximations: preview(pipe, [a, b])"
                ),
            )
        for method in self._watches:
            if method in vars(self._instance):
                raise PreviewError(
                    f"{name}.{method}: was replaced on this object by another program; "
                    "expected the method of its class",
                    remedy=f"undo that, or make a new one: {name}.from_config(scheduler.config)",
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
        own = {
            **{method: self._watched(method, watch) for method, watch in self._watches.items()},
            "_latentfit_tap": self,
            "__module__": self._original.__module__,
            "__qualname__": self._original.__qualname__,
            "__doc__": self._original.__doc__,
        }
        made: type = type(self._original)(self._original.__name__, (self._original,), own)
        return made

    def _watched(self, method: str, watch: Watch) -> Callable[..., Any]:
        original = getattr(self._original, method)
        signature = inspect.signature(original)

        @functools.wraps(original)
        def watched(this: Any, *args: Any, **kwargs: Any) -> Any:
            is_own = self.watches(this)
            if not is_own and (watch.of_copy is None or self._tapped is None):
                return original(this, *args, **kwargs)
            try:
                arguments = dict(signature.bind(this, *args, **kwargs).arguments)
            except TypeError:  # the original says it in its own words
                return original(this, *args, **kwargs)
            if not is_own:
                output = original(this, *args, **kwargs)
                if watch.of_copy is not None:
                    watch.of_copy(this, arguments, output)
                return output
            noted = None if watch.before is None else watch.before(arguments)
            try:
                output = original(this, *args, **kwargs)
            finally:
                if watch.at_end is not None:
                    watch.at_end()
            if watch.after is not None:
                watch.after(arguments, output, noted)
            return output

        return watched
