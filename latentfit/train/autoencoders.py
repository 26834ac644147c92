"""train_autoencoder(): a KL autoencoder from pictures alone."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latentfit.errors import Remedy, TrainError
from latentfit.images.sources import Picture
from latentfit.nets.patch_discriminator import PatchDiscriminator
from latentfit.pairs.store import Split
from latentfit.runtime.weights import WeightsFile
from latentfit.train.autoencoder_objective import AutoencoderObjective, ThereAndBack
from latentfit.train.autoencoder_presets import AutoencoderPreset
from latentfit.train.config import TrainConfig
from latentfit.train.objective import ADVERSARIAL
from latentfit.train.picture_crops import PictureCrops
from latentfit.train.presets import preset_named
from latentfit.train.run import PictureRun, Task, WarmStart, named_preset
from latentfit.vae.diffusers_folder import WEIGHTS_NAME, save_autoencoder_folder
from latentfit.vae.vae import Vae

MEASURED_ON, AT_ONCE = 256, 16
"""Crops on which the scaling factor is measured, and how many go through at a time."""


def train_autoencoder(
    pictures: Mapping[str, Sequence[Picture]],
    preset: str | AutoencoderPreset,
    out: str | os.PathLike[str],
    *,
    config: TrainConfig | None = None,
    shares: Mapping[str, float] | None = None,
    split: Split = "train",
    begin: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    device: str = "auto",
    progress: bool = True,
) -> Vae:
    """Train an autoencoder of diffusers' AutoencoderKL; the same call goes on where a killed one stopped.

    Its scaling factor, one over the standard deviation of the latents of `MEASURED_ON` crops, is measured at the end
    and stated in its config.

    Parameters
    ----------
    pictures : mapping of str to sequence of Picture
        Kind -> what to learn from.
    preset : str or AutoencoderPreset
        A name among `preset_names("vae")`.
    out : path
        A folder as diffusers writes it: config.json and the weights, with a card in their header. Beside it, in
        ``NAME.run/``: checkpoint, metrics, config.
    config : TrainConfig, optional
        Instead of the preset's.
    shares : mapping of str to float, optional
        Instead of the preset's: kind -> how many of the crops are of it, relative to the others.
    split : {"train", "all"}
        "all": also the pictures, one in five, that their hash holds out; score the result on others then.
    begin : path, optional
        Folder of one of the same make, to begin from; the pictures that it learned from count as this one's too.
    cache : path, optional
        Folder for decoded pictures; by default ``NAME.run/pictures/``.
    device : str
    progress : bool

    Returns
    -------
    Vae
        As it was saved.

    Raises
    ------
    TrainError
        When a preset that goes on has nothing to begin from, or the run goes wrong.
    """
    name, chosen = named_preset(preset, lambda title: preset_named(title, "vae"))
    if chosen.goes_on and begin is None:
        raise TrainError(
            f"preset {name!r} goes on from a trained autoencoder", remedy=Remedy("name it with {}", begin=...)
        )
    path, course = Path(out), config or chosen.config
    counted = dict(shares if shares is not None else chosen.shares)
    folder = Path(cache) if cache is not None else path.with_suffix(".run") / "pictures"
    crops = PictureCrops(pictures, chosen.crop_px, folder, shares=counted, split=split, seed=course.seed)
    run = PictureRun(path, name, chosen.title, crops.samples, split, course, _begin(begin))
    network, adversary = run.drawn(
        lambda: (
            ThereAndBack(chosen.make()), PatchDiscriminator() if set(ADVERSARIAL) & set(chosen.losses) else None
        )
    )  # fmt: skip
    run.begun(network)
    made: Any = network.autoencoder
    identity = {
        "network": [type(made).__name__, _plain(made.config)], "losses": dict(chosen.losses),
        "crop": chosen.crop_px, "shares": counted,
    }  # fmt: skip

    def wrap(trained: nn.Module, card: dict[str, Any]) -> Vae:
        assert isinstance(trained, ThereAndBack)
        module: Any = trained.autoencoder
        deviation = deviation_of(module, crops)
        module.register_to_config(scaling_factor=1 / deviation)
        save_autoencoder_folder(module, path, about={**card, "deviation": deviation})
        return Vae.load(path, device="cpu")

    about = {"losses": dict(chosen.losses), "shares": counted, "crop_px": chosen.crop_px}
    objective = AutoencoderObjective(chosen.losses, adversary)
    return Task(run, crops, network, objective, identity, about, wrap).train(device, progress=progress)


@torch.no_grad()
def deviation_of(module: nn.Module, crops: PictureCrops) -> float:
    """Standard deviation of an AutoencoderKL's latents, all channels together, on the first crops of a source."""
    own: Any = module
    parts: list[Tensor] = []
    for start in range(0, MEASURED_ON, AT_ONCE):
        rgb = crops.batch(range(start, start + AT_ONCE))["input"]
        parts.append(own.encode(2 * rgb - 1).latent_dist.mode())
    return float(torch.cat(parts).std())


def _begin(folder: str | os.PathLike[str] | None) -> WarmStart | None:
    """The autoencoder of a folder, and its card."""
    if folder is None:
        return None
    from latentfit.vae.networks import DiffusersNetwork

    network = Vae.load(folder, device="cpu").network
    if not isinstance(network, DiffusersNetwork):
        raise TrainError(
            "begin", expected="a diffusers folder of AutoencoderKL", got="a TAESD pair", place=Path(folder)
        )
    return WarmStart(ThereAndBack(network.module), card_of(folder))


def card_of(folder: str | os.PathLike[str]) -> dict[str, Any] | None:
    """What `train_autoencoder` noted in the weights of a folder; None where it is not by it."""
    import json

    text = WeightsFile(Path(folder) / WEIGHTS_NAME).metadata.get("latentfit_vae")
    return None if text is None else dict(json.loads(text))


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config as JSON reads it back, without diffusers' own notes."""
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in config.items() if key[:1] != "_"
    }  # fmt: skip
