"""preview(): what a diffusers pipeline is about to paint, seen while it runs and without touching it."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from latentfit.errors import PreviewError, SpaceMismatchError
from latentfit.maps.autoencoder import Autoencoder
from latentfit.previews.displays import NoScreen, ScreenName, screen_of
from latentfit.previews.learning import Learner, with_learned
from latentfit.previews.recording import EstimateFolder, PictureFolder
from latentfit.previews.rendering import Painter, Source
from latentfit.previews.session import Live
from latentfit.previews.steps import Step
from latentfit.previews.token_layouts import check_pipeline, stated_by


def preview(
    pipe: Any,
    approximation: Source | Sequence[Source] | Mapping[str, Source],
    *,
    every: int = 1,
    size: int = 384,
    display: ScreenName | Callable[[Step], object] = "auto",
    record: str | os.PathLike[str] | None = None,
    save: str | os.PathLike[str] | None = None,
    vae: Autoencoder | None = None,
    picture_size: tuple[int, int] | None = None,
) -> Live:
    """Previews of the predicted x0 (not of the noisy latents) while a pipeline runs, in a ``with`` block.

    The pipeline computes what it would compute without: its scheduler's `step` is watched, nothing that it is given is
    changed, and no random number is taken from it. An error in a preview is kept and warned of, and the run goes on.

    Parameters
    ----------
    pipe : diffusers pipeline
        Any whose loop calls ``pipe.scheduler.step``, modular ones too. Where it paints the views of a panorama one by
        one, they are shown as one picture.
    approximation : Approximation, Vae or path, or a sequence or mapping of them; or "auto"
        What turns latents into pictures; each runs where its numbers lie. Several are shown beside each other. "auto",
        alone or among them, is what is known of the pipeline's space, and learns: each picture that the pipeline
        decodes in the block is a pair of latents and colours, of which `Calibration` keeps the sums, for this VAE, in
        the user's cache folder (the environment variable LATENTFIT_CACHE names another).
    every : int
        Preview every n-th step, from the first on, and always the last.
    size : int
        Pixels of a picture's long side, shown and saved.
    display : {"auto", "notebook", "terminal", "none"} or callable
        "auto": in place in a notebook's output; elsewhere lines in the terminal, with the picture in half blocks where
        it has 24-bit colours. A function is given each `Step` instead.
    record : path or None
        A pair store: the previewed x0 estimates are written there with their sigma and step, and when the block ends
        they are decoded, so that maps can be fitted to and scored on them.
    save : path or None
        A folder: each preview becomes a PNG there, each run an animated WebP.
    vae : Vae or None
        Decodes what was recorded. None: a copy of the pipeline's own.
    picture_size : (int, int) or None
        Height and width of the picture in pixels, for a pipeline whose latents are packed into tokens and which says
        them nowhere. None: as the pipeline's call, its `prepare_latents` or its blocks' state say.

    Returns
    -------
    Live
        A context to run the pipeline in; it holds the states.

    Raises
    ------
    SpaceMismatchError
        When the approximations are of two spaces, or the pipeline's autoencoder states another than theirs.
    PreviewError
        When the scheduler's x0 cannot be told, or an option cannot be met; for "auto", when the pipeline has no VAE, or
        its space cannot be told.

    Examples
    --------
    ``with lf.preview(pipe, "data/models/sd1-cell.safetensors", every=2) as live: pipe("a lighthouse")``
    """
    if every < 1 or size < 16:
        raise PreviewError("preview", expected="every >= 1 and size >= 16 px", got=f"every {every} and size {size}")
    if not callable(getattr(getattr(pipe, "scheduler", None), "step", None)):
        raise PreviewError(
            "preview",
            expected="a diffusers pipeline with a scheduler",
            got=f"{type(pipe).__name__}",
            remedy="of a cascade, give the part that paints, such as pipe.prior_pipe",
        )
    if picture_size is not None and not _are_pixels(picture_size):
        raise PreviewError("picture_size", expected="(height, width) in whole pixels", got=f"{picture_size!r}")
    own = getattr(pipe, "vae", None)
    stated = stated_by(own)
    learner = Learner.of(pipe, approximation)
    if learner is not None:
        approximation = with_learned(approximation, learner.shown)
    painter = Painter(approximation, size, stated.space)
    is_told = check_pipeline(pipe, painter.space, stated)
    if record is not None and vae is None and not isinstance(own, torch.nn.Module):
        raise PreviewError(
            f"record: {type(pipe).__name__} has no vae to decode what is recorded", remedy="pass one with vae="
        )
    if vae is not None and vae.space != painter.space:
        raise SpaceMismatchError(
            "vae",
            expected=f"one of the approximation's space {painter.space.name!r}",
            got=f"{vae.name!r} of {vae.space.name!r}",
        )
    estimates = None if record is None else EstimateFolder(record, painter.space, vae)
    if estimates is not None and vae is None:
        estimates.check_pipeline(pipe)
    return Live(
        pipe,
        painter,
        every,
        NoScreen() if callable(display) else screen_of(display),
        watcher=display if callable(display) else None,
        pictures=None if save is None else PictureFolder(save),
        estimates=estimates,
        vae=vae,
        picture_size=None if picture_size is None else (int(picture_size[0]), int(picture_size[1])),
        is_told=is_told,
        learner=learner,
    )


def _are_pixels(sides: Any) -> bool:
    if not isinstance(sides, Sequence) or len(sides) != 2:
        return False
    return all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides)
