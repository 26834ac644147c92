"""Draw figures/gallery: what every bundled map and VAE makes of one photograph that none of them was fitted on.

Reads LATENTFIT_ASSETS (weights/taesd, images/free). `figures/gallery/made.json` says of which file each picture was
made and what was measured on it, so that only what is new or changed is drawn again; `--check` changes nothing and
names what is stale.
"""

import argparse
import hashlib
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import latentfit as lf
from latentfit.formats import bundled_maps
from latentfit.images import delta_e2000, look_of, open_rgb, resampled, rgb_tensor, to_pil
from latentfit.maps import Approximation, LatentMap
from latentfit.nets import Palettized
from latentfit.runtime import data_path, torch_threads, write_atomic
from latentfit.scores import as_seen
from recipes.scored_sets import LIST, ROOT, assets_folder
from recipes.tables import vae_of

FOLDER = ROOT / "figures" / "gallery"
MADE = FOLDER / "made.json"
PICTURE = "free/2937112796b2.jpg"
CREDIT = "“Morning at sea” by Tapio Haaja, CC0"
SIZE_PX = (384, 576)
"""Rows and columns: whole cells at half the size too."""
QUALITY = 84


@dataclass(frozen=True)
class Exhibit:
    """Something bundled that the gallery shows.

    Attributes
    ----------
    path : Path
        A saved map's file, or a VAE's folder.
    key : str
        Of its picture: "models-sd1-cell".
    """

    path: Path
    key: str

    @property
    def weights(self) -> Path:
        """The file whose bytes decide whether the picture is still true."""
        return self.path / "diffusion_pytorch_model.safetensors" if self.path.is_dir() else self.path

    @property
    def picture(self) -> Path:
        """Where it lies."""
        return FOLDER / f"{self.key}.webp"

    @property
    def sha256(self) -> str:
        """Of its weights."""
        return hashlib.sha256(self.weights.read_bytes()).hexdigest()


def exhibits() -> list[Exhibit]:
    """Every bundled map, then the VAEs."""
    paths = [*bundled_maps(), *sorted(path for path in data_path("vaes").iterdir() if path.is_dir())]
    keys = ["-".join(path.relative_to(data_path()).with_suffix("").parts) for path in paths]
    return [Exhibit(path, key) for path, key in zip(paths, keys, strict=True)]


def recorded() -> dict[str, dict[str, Any]]:
    """Key -> what made.json says of its picture."""
    return dict(json.loads(MADE.read_text("utf-8"))["pictures"]) if MADE.is_file() else {}


def stale() -> list[Exhibit]:
    """What has no picture, or one that was made by other weights."""
    known = recorded()
    return [
        one
        for one in exhibits()
        if not one.picture.is_file() or known.get(one.key, {}).get("weights_sha256") != one.sha256
    ]


@torch_threads(1)
def main() -> int:
    """Draw, or check, what is stale."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--again", action="store_true", help="draw every picture, also those that are still true")
    options = parser.parse_args()
    wanted = exhibits() if options.again else stale()
    if options.check:
        for one in wanted:
            print(f"{one.path.relative_to(data_path())}: no picture of its present weights; run `make gallery`")
        return 1 if wanted else 0
    studio = Studio(assets_folder())
    known = {} if options.again else {one.key: recorded()[one.key] for one in exhibits() if one not in wanted}
    for one in wanted:
        known[one.key] = {"weights_sha256": one.sha256, **studio.drawn(one)}
        print(one.key, known[one.key], flush=True)
        record(known)
    for name, picture in studio.references().items():
        write_atomic(FOLDER / f"{name}.webp", webp(picture))
    record(known)
    return 0


def record(known: dict[str, dict[str, Any]]) -> None:
    """Write made.json."""
    about = {"picture": PICTURE, "credit": CREDIT, "size_px": SIZE_PX, "command": "make gallery"}
    text = json.dumps(about | {"pictures": dict(sorted(known.items()))}, indent=1, ensure_ascii=False)
    write_atomic(MADE, text + "\n")


def webp(rgb: Tensor) -> bytes:
    """A picture (3, H, W) as a file's bytes."""
    buffer = io.BytesIO()
    to_pil(rgb).save(buffer, format="WEBP", quality=QUALITY, method=6)
    return buffer.getvalue()


class Studio:
    """The photograph, and what each space's reference VAE makes of it.

    Parameters
    ----------
    assets : Path
        The folder with weights/ and images/.
    """

    def __init__(self, assets: Path) -> None:
        self.assets = assets
        path = assets / "images" / PICTURE
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        held_out = json.loads(LIST.read_text("utf-8"))["development"]["photographs"]
        if held_out.get(PICTURE) != self.sha256:
            sys.exit(f"{PICTURE}: not the photograph that data/held_out.json names")
        image = open_rgb(path.read_bytes())
        self.look = look_of(image)
        whole = rgb_tensor(np.asarray(image))
        high, wide = whole.shape[-2:]
        side = min(high / SIZE_PX[0], wide / SIZE_PX[1])
        rows, columns = round(SIZE_PX[0] * side), round(SIZE_PX[1] * side)
        top, left = (high - rows) // 2, (wide - columns) // 2
        self.photo = resampled(whole[..., top : top + rows, left : left + columns], SIZE_PX).clamp(0, 1)
        self._vaes: dict[str, lf.Vae] = {}
        self._decoded: dict[str, Tensor] = {}

    def vae(self, space: str) -> lf.Vae:
        """TAESD's family."""
        if space not in self._vaes:
            self._vaes[space] = vae_of(space, self.assets)
        return self._vaes[space]

    def decoded(self, space: str) -> Tensor:
        """The reference's own decode of the photograph's latents; the photograph itself where it only encodes."""
        if not self.vae(space).decodes:
            return self.photo
        if space not in self._decoded:
            self._decoded[space] = self.vae(space).decode(self.vae(space).encode(self.photo)).clamp(0, 1)
        return self._decoded[space]

    def references(self) -> dict[str, Tensor]:
        """The photograph, and every decode that was needed."""
        return {"photograph": self.photo[0]} | {f"vae-{name}": rgb[0] for name, rgb in self._decoded.items()}

    def drawn(self, exhibit: Exhibit) -> dict[str, Any]:
        """Write the picture; what was measured on it, against the reference's decode."""
        if exhibit.path.is_dir():
            own = lf.Vae.load(exhibit.path.name)
            space, picture = own.space.name, own.decode(own.encode(self.photo)).clamp(0, 1)
        else:
            space, picture = self.of_map(lf.load(exhibit.path))
        true = self.decoded(space)
        write_atomic(exhibit.picture, webp(picture[0]))
        mse = float((picture.double() - true.double()).square().mean())
        return {
            "reference": self.vae(space).reference,
            "reference_picture": f"vae-{space}" if self.vae(space).decodes else "photograph",
            "psnr": round(-10 * torch.tensor(mse).log10().item(), 2),
            "delta_e": round(float(delta_e2000(picture, true).mean()), 2),
        }

    def of_map(self, one: Approximation | LatentMap) -> tuple[str, Tensor]:
        """The space whose VAE judges a map's picture, and the picture at the photograph's size."""
        if self.sha256 in one.card.get("train_hashes", ()) or self.look in one.card.get("train_looks", ()):
            sys.exit(f"{one.name}: was fitted on {PICTURE}; the gallery shows held-out pictures only")
        if isinstance(one, Approximation):
            small = one(self.vae(one.space.name).encode(self.photo))
            if isinstance(one.module, Palettized):
                return one.space.name, torch.nn.functional.interpolate(small, SIZE_PX, mode="nearest")
            return one.space.name, as_seen(small, SIZE_PX)
        source, target = one.source.name, one.target.name
        if one.scale == 1:
            return target, self.vae(target).decode(one(self.vae(source).encode(self.photo))).clamp(0, 1)
        rows, columns = (int(side / one.scale) for side in SIZE_PX)
        small = self.vae(source).encode(resampled(self.photo, (rows, columns)).clamp(0, 1))
        return target, self.vae(target).decode(one(small)).clamp(0, 1)


if __name__ == "__main__":
    sys.exit(main())
