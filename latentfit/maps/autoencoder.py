"""Autoencoder: the one protocol of what encodes pictures and decodes latents."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from latentfit.latents.spaces import LatentSpace


@runtime_checkable
class Autoencoder(Protocol):
    """What collecting, previews, scores and nodes need of a VAE; `latentfit.vae.Vae` has it.

    Attributes
    ----------
    space : LatentSpace
        Space of its latents.
    name : str
        What it is called in files and figures.
    reference : str
        What it stands for, in words.
    fingerprint : str
        Tells its weights from others': SHA-256, hex.
    """

    @property
    def space(self) -> LatentSpace: ...
    @property
    def name(self) -> str: ...
    @property
    def reference(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...

    def encode(self, rgb: Tensor) -> Tensor:
        """Pictures ``(N, 3, H, W)`` in [0, 1] -> latents ``(N, C, h, w)``, model domain."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Latents ``(N, C, h, w)``, model domain -> pictures ``(N, 3, H, W)``."""
        ...


def can_decode(vae: Autoencoder) -> bool:
    """Whether it has a decoder; one that is known by its encoder alone has an attribute `decodes`, False."""
    return bool(getattr(vae, "decodes", True))
