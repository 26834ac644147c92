"""What a pipeline says of its run: the picture's size, the latents it begins with, how many steps."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from latentfit.previews.method_hook import MethodHook, Watch
from latentfit.previews.views import base_of


class Told:
    """Listens to a pipeline's call, its `prepare_latents`, and the state of a modular pipeline's blocks.

    Parameters
    ----------
    pipe : diffusers pipeline
    picture_size : tuple of int or None
        Height and width in pixels, where the user says them: nothing else is asked then.

    Attributes
    ----------
    source : Tensor or None
        The latents that the pipeline prepared, while it runs: its own tensor, which it may write over.
    """

    def __init__(self, pipe: Any, picture_size: tuple[int, int] | None) -> None:
        self._pipe, self._stated = pipe, picture_size
        self.source: Tensor | None = None  # what prepare_latents gave, until the pipeline has ended
        self._prepared: Tensor | None = None
        self._prepared_px: tuple[int, int] | None = None
        self._call: Mapping[str, Any] = {}
        self._state: Mapping[str, Any] = {}

    def hooks(self, begin: Callable[[], None], end: Callable[[], None]) -> list[MethodHook]:
        """Return the hooks to open; `begin` and `end` are called before and after the pipeline."""
        pipe, hooks = self._pipe, []
        watches: dict[str, Watch] = {}
        if inspect.ismethod(getattr(pipe, "prepare_latents", None)):
            watches["prepare_latents"] = Watch(self._after_prepare)
        if callable(pipe):

            def before(arguments: Mapping[str, Any]) -> None:
                self._forget()
                self._call = arguments
                begin()

            def at_end() -> None:
                self.source = None
                end()

            watches["__call__"] = Watch(before=before, at_end=at_end)
        if watches:
            hooks.append(MethodHook(pipe, watches))
        blocks = getattr(pipe, "_blocks", None)
        if callable(blocks):
            hooks.append(MethodHook(blocks, {"__call__": Watch(before=self._before_blocks)}))
        return hooks

    def size_px(self) -> tuple[int, int] | None:
        """Height and width of the picture."""
        return self._stated or self._prepared_px or self._px_in(self._state) or self._px_in(self._call)

    def n_steps(self) -> int | None:
        """Calls of the model that the run makes."""
        timesteps = self._state.get("timesteps")
        told = getattr(self._pipe, "_num_timesteps", None) if timesteps is None else len(timesteps)
        return told if isinstance(told, int) else None

    def whole_of(self, sample: Tensor) -> Tensor | None:
        """The latents that a sample may be a view of: what it is a slice of, or what the pipeline prepared."""
        base = base_of(sample, self.source)
        return self._prepared if base is None else base

    def is_other_batch(self, sample: Tensor) -> bool:
        """Whether a sample holds more or fewer pictures than the pipeline prepared, as halves of guidance do."""
        whole = self._prepared
        return whole is not None and sample.shape[1:] == whole.shape[1:] and len(sample) != len(whole)

    def _forget(self) -> None:
        self.source, self._prepared, self._prepared_px = None, None, None
        self._call, self._state = {}, {}

    def _after_prepare(self, arguments: Mapping[str, Any], output: Any, noted: Any) -> None:
        self._prepared_px = self._px_in(arguments) or self._prepared_px
        latents = output[0] if isinstance(output, tuple) and output else output
        if isinstance(latents, Tensor):  # pictures are kept to find views in; of the rest the shape is enough
            is_picture = latents.ndim == 4
            self.source = latents
            self._prepared = latents.detach().clone() if is_picture else torch.empty(latents.shape, device="meta")

    def _before_blocks(self, arguments: Mapping[str, Any]) -> None:
        values = getattr(arguments.get("state"), "values", None)
        if isinstance(values, Mapping):
            self._state = values

    @staticmethod
    def _px_in(said: Mapping[str, Any]) -> tuple[int, int] | None:
        height, width = said.get("height"), said.get("width")
        return (height, width) if isinstance(height, int) and isinstance(width, int) else None
