"""What previews leave on disk: every picture, one animation, and the estimates themselves."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from latentfit.errors import LatentfitError, PreviewError, Remedy
from latentfit.latents.files import Estimate, write_latents
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.autoencoder import Autoencoder
from latentfit.pairs.collector import collect
from latentfit.pairs.store import PairStore
from latentfit.previews.frames import png_of, webp_of
from latentfit.previews.steps import Step
from latentfit.runtime.storage import write_atomic
from latentfit.vae.vae import Vae


class PictureFolder:
    """Every preview as a PNG, and at the end of a run all of them as one animated WebP.

    Files are ``run-001-step-004.png`` and ``run-001.webp``; numbers go on where a folder's last run stopped. Each file
    is written as a whole, so a killed run leaves all pictures that it showed.

    Raises
    ------
    PreviewError
        When the folder cannot be made or written to.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = _made(folder, "save")
        self._run = max(
            (int(found[1]) for path in self.folder.iterdir() if (found := re.match(r"run-(\d+)", path.name))), default=0
        )
        self._frames: list[Image.Image] = []

    def begin(self) -> None:
        """Begin a run."""
        self._run += 1
        self._frames = []

    def add(self, index: int, picture: Image.Image) -> Path:
        """Write the picture of the step of that index."""
        self._frames.append(picture)
        return write_atomic(self.folder / f"run-{self._run:03d}-step-{index:03d}.png", png_of(picture))

    def end(self) -> Path | None:
        """Write the run's animation, the last x0 at its end; None when nothing was shown."""
        frames, self._frames = self._frames, []
        return write_atomic(self.folder / f"run-{self._run:03d}.webp", webp_of(frames)) if frames else None


class EstimateFolder:
    """The estimates of runs as latent files, and the pair store that a VAE makes of them.

    Files are ``STORE/latents/<picture>/<run>-step-004.latent``, one a picture and step, in ComfyUI's format, with sigma
    and step in the header. A picture is known by its first estimate, and all its steps go by that hash: they are held
    out together, or fitted on together.

    Parameters
    ----------
    folder : path
        The store.
    space : LatentSpace
    vae : Vae or None
        VAE that will decode, if it is known already.

    Raises
    ------
    PreviewError
        When the folder cannot be made or written to, or holds pairs of another space or VAE.
    """

    def __init__(self, folder: str | os.PathLike[str], space: LatentSpace, vae: Autoencoder | None = None) -> None:
        self.folder = _made(folder, "record")
        self._there = PairStore(self.folder) if any(self.folder.glob("*.safetensors")) else None
        self._check(space, vae, "the pipeline" if vae is None else vae.reference)
        self.latents = self.folder / "latents"
        self._space = space
        self._pictures: list[str] = []
        self._run = 0
        self.n_written = 0

    def check_pipeline(self, pipe: Any) -> None:
        """Compare the pipeline's own VAE with that of the pairs that are there.

        Raises
        ------
        PreviewError
            When it is another.
        """
        if self._there is None:
            return
        try:
            own = vae_of(pipe, self._space)
        except (LatentfitError, RuntimeError):  # its weights are offloaded, say: told when it has to decode
            return
        self._check(self._space, own, f"{own.reference} with other weights")

    def _check(self, space: LatentSpace, vae: Autoencoder | None, called: str) -> None:
        there = self._there
        if there is not None and (there.space != space or (vae is not None and there.fingerprint != vae.fingerprint)):
            raise PreviewError(
                f"record: {self.folder} holds pairs of {there.reference} in space "
                f"{there.space.name!r}, and what will be recorded is of {called} in space "
                f"{space.name!r}",
                remedy="choose another folder",
            )

    def begin(self, timesteps: Any) -> None:
        """A run begins; its timesteps tell it from another run of the same picture."""
        flat = torch.as_tensor(timesteps).detach().cpu().double().flatten()
        self._run = int(hashlib.sha256(flat.numpy().tobytes()).hexdigest()[:4], 16)
        self._pictures = []

    def add(self, step: Step) -> None:
        """Write the estimates of one step.

        Raises
        ------
        PreviewError
            When they are not finite, as a scheduler's first step can make them.
        """
        if not bool(torch.isfinite(step.latents.half()).all()):
            raise PreviewError(
                f"record: {step.label}: x0 is not finite in float16", remedy="go on without it: this step is left out"
            )
        if not self._pictures:
            self._pictures = [hashlib.sha256(one.contiguous().numpy().tobytes()).hexdigest() for one in step.latents]
        for picture, latents in zip(self._pictures, step.latents, strict=True):
            says = Estimate(picture, self._run, step.index, step.n_steps, step.timestep, step.sigma, step.schedule)
            path = self.latents / picture[:16] / f"{self._run:04x}-step-{step.index:03d}.latent"
            write_latents(path, latents[None], self._space, says.to_metadata())
            self.n_written += 1

    def collect(self, pipe: Any, vae: Autoencoder | None = None) -> PairStore:
        """Decode all that is not decoded yet, with `vae` or a copy of the pipeline's own.

        The same as `collect` on ``STORE/latents``.

        Raises
        ------
        PreviewError
            When it cannot be decoded; the files stay.
        """
        try:
            return collect(vae or vae_of(pipe, self._space), self.latents, self.folder, progress=False)
        except (LatentfitError, RuntimeError) as error:
            raise PreviewError(
                f"record: what was recorded could not be decoded ({error})",
                remedy=Remedy(
                    "it stays there: collect it with {}, {} and {}",
                    vae=...,
                    images=os.fspath(self.latents),
                    out=os.fspath(self.folder),
                ),
            ) from error


def vae_of(pipe: Any, space: LatentSpace) -> Vae:
    """A copy of a pipeline's autoencoder, read as `space`; the pipeline's own is left as it is.

    Raises
    ------
    PreviewError
        When the pipeline has none.
    SpaceMismatchError
        When it contradicts the space.
    """
    module = getattr(pipe, "vae", None)
    if not isinstance(module, torch.nn.Module):
        raise PreviewError(
            f"record: {type(pipe).__name__} has no vae that could decode what is recorded", remedy="pass one with vae="
        )
    named = getattr(getattr(module, "config", None), "_name_or_path", "") or type(module).__name__
    return Vae.from_module(module, name=str(named), space=space)


def _made(folder: str | os.PathLike[str], option: str) -> Path:
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PreviewError(
            f"{option}: {path} cannot be made ({error.strerror or error})", remedy="choose another"
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise PreviewError(f"{option}: {path} cannot be written to", remedy="choose another, or change its permissions")
    return path
