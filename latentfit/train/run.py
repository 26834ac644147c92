"""Run: what all recipes share: where a result lies, what it begins from, what tells runs apart, and its card."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from latentfit.errors import SpaceMismatchError
from latentfit.fit.polynomial_map import PolynomialMap
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation
from latentfit.nets.state_dict import loaded
from latentfit.pairs.shards import looks_of
from latentfit.pairs.store import PairStore, Sample
from latentfit.runtime.storage import write_atomic
from latentfit.runtime.weights import fingerprint_of
from latentfit.train.callbacks import MetricsCsv, TensorBoard
from latentfit.train.config import TrainConfig
from latentfit.train.loop import Callback, Source, Trained, train
from latentfit.train.objective import AnyObjective


class Titled(Protocol):
    """A preset of any kind."""

    @property
    def title(self) -> str: ...


class HasSkip(Protocol):
    """A network beside whose body stands a linear map."""

    skip: nn.Conv2d

    def set_skip(self, weight: Tensor, bias: Tensor) -> object: ...


Drawn = TypeVar("Drawn")
Preset = TypeVar("Preset", bound=Titled)
Result = TypeVar("Result")
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class WarmStart:
    """What a run begins from.

    Attributes
    ----------
    network : nn.Module
        Network of the run's own make.
    card : mapping or None
        Where it comes from: the pictures that it learned from count as the run's too.
    """

    network: nn.Module
    card: Mapping[str, Any] | None = None

    @classmethod
    def at(cls, begin: Approximation | None, space: LatentSpace) -> "WarmStart | None":
        """The network inside; None of None.

        Raises
        ------
        SpaceMismatchError
            When it is of another space than the store.
        """
        if begin is None:
            return None
        if begin.space != space:
            raise SpaceMismatchError(
                f"begin: {begin.name!r} is of space {begin.space.name!r}, the store of {space.name!r}",
                remedy="begin from one of the same space",
            )
        return cls(begin.module, begin.card)


@dataclass(frozen=True)
class PictureRun:
    """One run of a recipe: the same call goes on where a killed one stopped.

    Attributes
    ----------
    path : Path
        File of the result. Beside it, in ``NAME.run/``: checkpoint, metrics, config.
    name, title : str
        Name and title of the preset.
    samples : sequence of Sample
        What is drawn from.
    split : str
        How they were chosen.
    config : TrainConfig
    begin : Begin or None
    """

    path: Path
    name: str
    title: str
    samples: Sequence[Sample]
    split: str
    config: TrainConfig
    begin: WarmStart | None = None

    @property
    def folder(self) -> Path:
        """What lies beside the result."""
        return self.path.with_suffix(".run")

    @property
    def resumes(self) -> bool:
        """There is a checkpoint, which brings all weights."""
        return (self.folder / "checkpoint.pt").is_file()

    @property
    def is_new(self) -> bool:
        """Nothing brings weights: neither a checkpoint nor what the run begins from."""
        return self.begin is None and not self.resumes

    def drawn(self, make: Callable[[], Drawn]) -> Drawn:
        """What `make` gives, its weights drawn from the seed whatever went on before in the process."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            return make()

    def begun(self, network: Network) -> Network:
        """The network, the weights that it begins from put in."""
        if self.begin is not None:
            loaded(network, self.begin.network.state_dict(), f"a network of preset {self.title!r}")
            network.train().requires_grad_(True)
        return network

    def train(
        self,
        network: nn.Module,
        objective: AnyObjective,
        source: Source,
        identity: Mapping[str, Any],
        *,
        noted: Mapping[str, Any] | None = None,
        callbacks: Sequence[Callback] = (),
        device: str = "auto",
        progress: bool = True,
    ) -> Trained:
        """Train until all images are seen, and keep the record.

        Parameters
        ----------
        network, objective, source
            See `latentfit.train.train`.
        identity : mapping
            What the result depends on besides the config, the samples and what the run begins from: JSON-able.
        noted : mapping, optional
            What config.json says besides.
        callbacks : sequence of callable
            Besides the metrics'.
        device : str
        progress : bool
        """
        told = {**self._identity(), **identity}
        if not self.resumes:  # a run that is refused leaves what it finds
            said = {**told, **self.config.to_dict(), **(noted or {})}
            write_atomic(self.folder / "config.json", json.dumps(said, indent=1) + "\n")
        record: list[Callback] = [MetricsCsv(self.folder / "metrics.csv"), TensorBoard(self.folder / "tensorboard")]
        return train(
            network, objective, source, self.config, self.folder / "checkpoint.pt",
            identity=told, callbacks=[*record, *callbacks], device=device, progress=progress,
        )  # fmt: skip

    def card(self, trained: Trained, about: Mapping[str, Any]) -> dict[str, Any]:
        """Return the card of the result's file: what was run on what, and `about` what is the recipe's own."""
        hashes, looks = {sample.sha256 for sample in self.samples}, set(looks_of(self.samples))
        begun: dict[str, Any] = {}
        if self.begin is not None and self.begin.card is not None:
            hashes |= set(self.begin.card.get("train_hashes", ()))
            looks |= set(self.begin.card.get("train_looks", ()))
            begun = {"begun_from": dict(self.begin.card)}
        return {
            "form": self.name, "title": self.title, **about, "seen_images": trained.seen_images,
            "config": self.config.to_dict(), "n_images": len(hashes), "n_samples": len(self.samples),
            "train_hashes": sorted(hashes), "train_looks": sorted(looks), **begun,
        }  # fmt: skip

    def _identity(self) -> dict[str, Any]:
        """What all recipes are told apart by."""
        keys = "".join(sorted(sample.key for sample in self.samples))
        begun = {} if self.begin is None else {"begun_from": fingerprint_of(self.begin.network)}
        return {
            "preset": self.name, "split": self.split, "n_samples": len(self.samples),
            "samples": hashlib.sha256(keys.encode()).hexdigest(), **begun,
        }  # fmt: skip


@dataclass(frozen=True)
class Run(PictureRun):
    """A run on what an autoencoder made of pictures.

    Attributes
    ----------
    store : PairStore
        Whose latents go in; of a map between latents the source.
    """

    store: PairStore = field(kw_only=True)

    def card(self, trained: Trained, about: Mapping[str, Any]) -> dict[str, Any]:
        """The card of every run, with which autoencoder it was."""
        store = self.store
        of = {"vae": store.vae_name, "fingerprint": store.fingerprint, "reference": store.reference}
        return super().card(trained, {**of, **about})


@dataclass(frozen=True)
class Task(Generic[Result]):
    """What a recipe trains, whatever it trains: `train` is all that is left to do.

    Attributes
    ----------
    run : PictureRun
        Where, on what and from what.
    data : Source
        Batches.
    network : nn.Module
        Network whose weights are drawn, or taken over from another.
    objective : Objective, or one of its kind
    identity : mapping
        What the result depends on besides the config, the samples and what the run begins from: JSON-able. A run that
        was begun goes on only with the same, so that no entry may change its name or value.
    about : mapping
        What the card says besides what every card says.
    wrap : callable
        (network on the CPU, card) -> what the recipe gives; it saves it to `run.path`.
    noted : mapping
        What config.json says besides.
    callbacks : sequence of callable
        Besides the metrics'.
    """

    run: PictureRun
    data: Source
    network: nn.Module
    objective: AnyObjective
    identity: Mapping[str, Any]
    about: Mapping[str, Any]
    wrap: Callable[[nn.Module, dict[str, Any]], Result]
    noted: Mapping[str, Any] = field(default_factory=dict)
    callbacks: Sequence[Callback] = ()

    def train(self, device: str = "auto", *, progress: bool = True) -> Result:
        """Train until all images are seen, then wrap and save; the same call goes on where a killed one stopped."""
        trained = self.run.train(
            self.network, self.objective, self.data, self.identity,
            noted=self.noted, callbacks=self.callbacks, device=device, progress=progress,
        )  # fmt: skip
        return self.wrap(trained.model.cpu(), self.run.card(trained, self.about))


def named_preset(preset: str | Preset, named: Callable[[str], Preset]) -> tuple[str, Preset]:
    """A preset of a table by its name, or one of the caller's own by its title."""
    return (preset, named(preset)) if isinstance(preset, str) else (preset.title, preset)


def hold_skip(network: HasSkip, fit: Callable[[], PolynomialMap] | None) -> None:
    """Hold the network's skip as it is: the closed form that `fit` gives, or what the network has where that is None.

    A closed form of colours gives them in [-1, 1], a network in [0, 1].
    """
    if fit is not None:
        module = fit()
        weight, bias = module.coefficients[1:].T.reshape(network.skip.weight.shape), module.coefficients[0]
        network.set_skip(*((weight / 2, bias / 2 + 0.5) if module.target == "rgb" else (weight, bias)))
    network.skip.requires_grad_(False)


def result_path(out: str | os.PathLike[str]) -> Path:
    """Return the path of a result: ``.safetensors`` is added where the name does not end so."""
    path = Path(out)
    return path if path.suffix == ".safetensors" else path.with_name(f"{path.name}.safetensors")
