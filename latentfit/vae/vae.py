"""The reference autoencoder: every approximation is fitted to what it makes of latents, and judged beside it."""

import os
from collections.abc import Iterable, Iterator
from typing import Any, final

import torch
from torch import Tensor, nn

from latentfit.errors import DomainError, SpaceMismatchError, VaeError
from latentfit.latents.spaces import LatentSpace, get_space
from latentfit.maps.contracts import Approximation
from latentfit.maps.tiles import Tiles, map_in_tiles
from latentfit.runtime.devices import device_name, plain_float32, torch_dtype
from latentfit.runtime.weights import fingerprint_of
from latentfit.vae.checks import check_finite, check_rgb
from latentfit.vae.networks import Crossing, DiffusersNetwork, TinyNetwork, plain_crossing
from latentfit.vae.opening import open_source
from latentfit.vae.private_copies import departures, plainly, private_copy
from latentfit.vae.sources import find_source
from latentfit.vae.spaces import NAMED, Spoken, measured_numbers, slug, space_of, speaks_model_domain
from latentfit.vae.stills import check_of_pictures


@final
class Vae:
    """An autoencoder with a promise: pictures in [0, 1], latents in the model domain, float32 on the CPU, no NaN.

    Made by `load` or `from_module`, which give it a network of its own; the constructor takes its network over, and
    moves it to `device` and `dtype`. Each autoencoder does its own crossing between the latents that its network speaks
    and the model domain, so nothing outside multiplies by a scaling factor.

    Attributes
    ----------
    space : LatentSpace
        The space of its latents; `space.measured` where shift and scale were measured.
    name : str
        What it is called in files and figures.
    reference : str
        What it stands for, as every score says: ``"TAESD, standing in for SD1's KL-VAE"``.
    fingerprint : str
        SHA-256, hex, over the sorted names, shapes and float32 values of its weights: the same for the same weights in
        whatever file and precision they are loaded. What else changes the output is added where there is any: padding
        that is circular, methods replaced on a layer, an epsilon of one's own.
    tile_px : int or None
        Pictures with a longer side are taken in tiles of this side; None: never.

    Examples
    --------
    >>> from latentfit.nets.tiny import TinyDecoder, TinyEncoder
    >>> vae = Vae.from_module(TinyNetwork(TinyEncoder(4), TinyDecoder(4)), name="untrained", space="sd1")
    >>> latents = vae.encode(torch.rand(1, 3, 32, 48))
    >>> latents.shape, vae.decode(latents).shape
    (torch.Size([1, 4, 4, 6]), torch.Size([1, 3, 32, 48]))
    """

    def __init__(
        self,
        network: TinyNetwork | DiffusersNetwork,
        crossing: Crossing,
        space: LatentSpace,
        *,
        name: str,
        reference: str,
        device: str = "cpu",
        dtype: str = "float32",
        tile_px: int | None = 1024,
    ) -> None:
        part = network.module if isinstance(network, DiffusersNetwork) else network
        self.fingerprint = fingerprint_of(network, departures(part, is_own_space=space.normalised_by_vae))
        self.device = torch.device(device)
        self.dtype = torch_dtype(dtype)
        self.network = network.to(self.device, self.dtype)
        self.crossing = crossing.to(self.device)
        self.space = space
        self.name = name
        self.reference = reference
        self.tile_px = tile_px

    @classmethod
    def load(
        cls,
        reference: str | os.PathLike[str],
        *,
        space: LatentSpace | str | None = None,
        device: str = "auto",
        dtype: str = "float32",
    ) -> "Vae":
        """An autoencoder from wherever it lies.

        Parameters
        ----------
        reference : str or path
            - a diffusers folder of any autoencoder class with `encode` and `decode`, or a pipeline's folder;
            - a single file, ``.safetensors``, ``.ckpt``, ``.pt``: keys of diffusers, latent diffusion or Wan, alone or
              as ``first_stage_model.*`` or ``vae.*`` in a checkpoint. Its config is bundled, or read off its shapes;
            - ``dir/X`` where ``X_encoder.*`` and ``X_decoder.*`` are a TAESD pair; or one of the two files, which
              only encodes or only decodes;
            - ``"mini-sd1"``, ``"mini-sdxl"``, ``"mini-flux1"``: small ones that come with this package, as do
              other folders of ``data/vaes``;
            - ``"taesd"``, ``"taesdxl"``, ``"taesd3"``, ``"taef1"``, ``"taef2"``: from ``weights/taesd`` of the folder
              that the environment variable LATENTFIT_ASSETS names, else from the hub;
            - the name of a space, such as ``"sdxl"``: its published autoencoder on the hub;
            - a hub id, ``"owner/name"`` or ``"owner/name/subfolder"``.
        space : LatentSpace or str, optional
            A registered space, one of your own, or ``"measured"``. By default what the autoencoder's config states; for
            bare weights, what their shapes or their checkpoint say; failing all that, measured on the bundled pictures.
        device : str
            ``"auto"`` takes an accelerator where there is one.
        dtype : {"float32", "float16", "bfloat16"}
            Precision of the network; the crossing is float32 in any case.

        Raises
        ------
        VaeError
            When nothing is there, it is no autoencoder, or its space cannot be told.
        BadFileError
            When a file is damaged, or would have to run code to be read.
        SpaceMismatchError
            When `space` contradicts the autoencoder.
        """
        torch_dtype(dtype)
        source = find_source(reference)
        network, spoken = open_source(source, space)
        return cls._of(network, spoken, source.name, device, dtype)

    @classmethod
    def from_module(
        cls,
        module: nn.Module,
        *,
        name: str,
        space: LatentSpace | str | None = None,
        device: str = "auto",
        dtype: str = "float32",
    ) -> "Vae":
        """An autoencoder that is already in memory: a pipeline's, or any module with diffusers' `encode` and `decode`.

        Nothing of the module changes, neither its mode, gradients, precision and device nor its flags: a copy in eval
        mode is made of it, whose weights take their memory a second time. Training the module on afterwards leaves this
        autoencoder, and its fingerprint, as they are. Tiling and slicing that are switched on in the module are off in
        the copy, which has tiles of its own; see `tile_px`.

        Raises
        ------
        VaeError
            When no picture can go through it, as through autoencoders of sound, or its space cannot be told.
        SpaceMismatchError
            When `space` contradicts the autoencoder.
        """
        torch_dtype(dtype)
        module = plainly(module)
        if not isinstance(module, TinyNetwork):
            check_of_pictures(module)
        own = private_copy(module)
        network = own if isinstance(own, TinyNetwork) else DiffusersNetwork(own)
        spoken = space_of(network, name, asked=space, states_numbers=True)
        return cls._of(network, spoken, name, device, dtype)

    @classmethod
    def _of(cls, network: TinyNetwork | DiffusersNetwork, spoken: Spoken, name: str, device: str, dtype: str) -> "Vae":
        title, _ = NAMED.get(name, (name, ""))
        stands_in = speaks_model_domain(network) and spoken.space.name != slug(name)
        described = f"{title}, standing in for {spoken.space.kl_name}" if stands_in else title
        crossing = spoken.crossing or plain_crossing((0.0,), (1.0,))
        vae = cls(
            network, crossing, spoken.space, name=title, reference=described, device=device_name(device), dtype=dtype
        )
        if spoken.crossing is not None:
            return vae
        return vae.with_space(measured_space(vae, measuring_pictures(vae.cell_px)))

    @property
    def cell_px(self) -> int:
        """Pixels per latent cell, each way."""
        return self.space.cell_px

    @property
    def decodes(self) -> bool:
        """Whether it has a decoder; TAESD's encoders open alone too, and then only encode."""
        return bool(self.network.decoder_parts)

    def encode(self, rgb: Tensor) -> Tensor:
        """Pictures -> latents of the posterior's mode.

        Parameters
        ----------
        rgb : Tensor of shape (N, 3, H, W), floating, in [0, 1]
            H and W are multiples of `cell_px`.

        Returns
        -------
        Tensor of shape (N, C, H / cell_px, W / cell_px), model domain, float32, on the CPU

        Raises
        ------
        DomainError
            When `rgb` has another shape or range.
        VaeError
            When the latents are not finite, as half precision can make them.
        """
        check_rgb(rgb, self.cell_px)
        with torch.no_grad(), plain_float32():
            own = self._tiled(self.network.encode, rgb.to(self.device), px_in=self.cell_px, px_out=1)
            latents = self.crossing.to_model(own)
        return check_finite(latents, rgb, f"{self.name}, encode", self.dtype).cpu()

    def decode(self, latents: Tensor) -> Tensor:
        """Latents ``(N, C, h, w)``, model domain -> rgb ``(N, 3, H, W)``, clamped to [0, 1], float32, on the CPU.

        Video latents ``(N, C, T, h, w)`` are decoded frame by frame, each alone, to ``(N, 3, T, H, W)``.
        """
        return self.decode_unclamped(latents).clamp_(0, 1)

    def decode_unclamped(self, latents: Tensor) -> Tensor:
        """Decode as `decode` does, without clamping: what clipping scores look at."""
        return self._decode_here(latents).cpu()

    def approximation(self) -> Approximation:
        """Return this decoder as an `Approximation` of scale `cell_px`: the row that every table is compared with."""
        card = {
            "form": "autoencoder", "vae": self.name, "reference": self.reference, "fingerprint": self.fingerprint,
            "space": self.space.name,
        }  # fmt: skip
        return Approximation(_DecoderModule(self), self.space, self.cell_px, name=self.name, card=card)

    def with_space(self, space: LatentSpace | str) -> "Vae":
        """The same network, read as another space with numbers of its own, such as `measured_space` gives.

        Raises
        ------
        SpaceMismatchError
            When the space has another number of channels or another cell.
        DomainError
            When the space has no numbers.
        """
        space = get_space(space)
        if (space.channels, space.cell_px) != (self.space.channels, self.space.cell_px):
            raise SpaceMismatchError(
                f"space {space.name!r}",
                expected=f"{self.space.channels} channels and {self.cell_px} px a cell",
                got=f"{space.channels} and {space.cell_px}",
            )
        if space.normalised_by_vae:
            raise DomainError(
                f"space {space.name!r}", expected="a space with shift and scale", got="one without numbers"
            )
        changed = object.__new__(Vae)
        changed.__dict__.update(self.__dict__)
        changed.space, changed.crossing = space, plain_crossing(space.shift, space.scale).to(self.device)
        return changed

    def __repr__(self) -> str:
        return (
            f"Vae({self.name!r}, space={self.space.name!r}, {self.space.channels} channels, {self.cell_px} px a cell, "
            f"{self.device}, {str(self.dtype).removeprefix('torch.')}, fingerprint {self.fingerprint[:8]})"
        )

    def _decode_here(self, latents: Tensor) -> Tensor:
        """Latents -> unclamped rgb, float32, on this autoencoder's device."""
        self.space.check(latents)
        if latents.ndim == 5:
            frames = self._decode_here(latents.movedim(2, 1).flatten(0, 1))
            return frames.reshape(latents.shape[0], latents.shape[2], *frames.shape[1:]).movedim(1, 2)
        with torch.no_grad(), plain_float32():
            own = self.crossing.to_own(latents.to(self.device))
            rgb = self._tiled(self.network.decode, own, px_in=1, px_out=self.cell_px).float()
        return check_finite(rgb, latents, f"{self.name}, decode", self.dtype)

    def _tiled(self, function: Any, picture: Tensor, *, px_in: int, px_out: int) -> Tensor:
        """`function` in the network's precision, in tiles where the picture is large.

        Channels last: convolutions then take 10 to 30 % less time on a CPU (docs/log.md), for none lays them out anew.
        """

        def run(part: Tensor) -> Tensor:
            mapped: Tensor = function(part.to(self.dtype, memory_format=torch.channels_last))
            return mapped.contiguous()

        tiles = self.tiles()
        return run(picture) if tiles is None else map_in_tiles(run, picture, tiles, px_in=px_in, px_out=px_out)

    def tiles(self) -> Tiles | None:
        """How large pictures are cut.

        Exact for the plain TAESD family: tiles overlap by twice its receptive field and the rim is thrown away. Not for
        flux2's TAESD nor for KL-VAEs, whose group norms (and attention) look at the whole picture: there a quarter of a
        tile is blended, and what differs is low in contrast but not zero.
        """
        if self.tile_px is None:
            return None
        n_cells = max(self.tile_px // self.cell_px, 1)
        receptive_cells = self.network.receptive_cells
        tiles = Tiles.around(n_cells, receptive_cells)
        if tiles is None:
            raise VaeError(
                "tile_px",
                expected=f"more than {2 * (receptive_cells or 0) * self.cell_px} px for {self.name!r}",
                got=f"{self.tile_px}",
                remedy="take wider ones: tiles must be wider than their overlap",
            )
        return tiles


class _DecoderModule(nn.Module):
    """The true decoder behind an `Approximation`; latents go to its device, pictures come back to theirs."""

    def __init__(self, vae: Vae) -> None:
        super().__init__()
        self._vae = vae

    def forward(self, latents: Tensor) -> Tensor:
        return self._vae._decode_here(latents).to(latents)

    @property
    def n_fitted(self) -> int:
        return sum(parameter.numel() for part in self._vae.network.decoder_parts for parameter in part.parameters())


def measured_space(vae: Vae, rgb: Iterable[Tensor], name: str | None = None) -> LatentSpace:
    """A space whose latents have mean 0 and variance 1, channel by channel, on these pictures; marked measured.

    Parameters
    ----------
    vae : Vae
        An autoencoder; its present crossing is taken back first, so that the numbers hold for the network's own
        latents.
    rgb : iterable of Tensor of shape (N, 3, H, W), in [0, 1]
        Pictures like those that will be decoded.
    name : str, optional
        Name of the space; by default the present one's.

    Examples
    --------
    >>> from latentfit.nets.tiny import TinyDecoder, TinyEncoder
    >>> vae = Vae.from_module(TinyNetwork(TinyEncoder(4), TinyDecoder(4)), name="untrained")
    >>> space = measured_space(vae, [torch.rand(2, 3, 64, 64)])
    >>> space.measured, len(space.scale)
    (True, 4)
    """
    shift, scale = measured_numbers(vae.crossing.to_own(vae.encode(part).to(vae.device)).cpu() for part in rgb)
    entry = vae.space.to_dict() | {"name": name or vae.space.name, "shift": shift, "scale": scale}
    entry |= {"measured": True, "normalised_by_vae": False, "packing": None, "source": f"measured on {vae.name}"}
    return LatentSpace.from_dict(entry)


def measuring_pictures(cell_px: int) -> Iterator[Tensor]:
    """Ten bundled photographs at 256 px, whole cells: 10,000 cells of 8 px, in seconds."""
    from latentfit.images.pixels import crop_to_cells, rgb_tensor
    from latentfit.images.sources import pictures

    for picture in pictures("photographs")[:10]:
        pixels, _ = crop_to_cells(picture.load()[0], 256, cell_px)
        yield rgb_tensor(pixels)
