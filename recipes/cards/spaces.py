"""Write docs/spaces.md: every latent space of the registry, with its facts; `--check` changes nothing.

Reads data/spaces/spaces.json and data/configs.
"""

import argparse
import re
from pathlib import Path

from latentfit.latents import LatentSpace, list_spaces
from latentfit.runtime import write_atomic
from latentfit.vae import bundled_configs

ROOT = Path(__file__).resolve().parents[2]
INTRODUCTION = """\
# Latent spaces

Written by `python -m recipes.cards.spaces` from `data/spaces/spaces.json`, which holds every fact of a space. A space
is named by its name or any of its aliases; case and punctuation do not count. Model domain: `(raw - shift) * scale`.
"""


def main() -> int:
    """Write, or check, the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    path, text = page()
    if parser.parse_args().check:
        return 0 if path.is_file() and path.read_text("utf-8") == text else 1
    print(write_atomic(path, text))
    return 0


def page() -> tuple[Path, str]:
    """Where the page lies, and what it says."""
    numbers = [
        "| space | title | latents | shift and scale | noise schedule | in ComfyUI |",
        "|---|---|---|---|---|---|",
    ]
    names = ["| space | also called | autoencoder | tiny decoders | facts from |", "|---|---|---|---|---|"]
    for space in list_spaces():
        numbers.append(
            _row(f"`{space.name}`", space.title, _latents(space), _numbers(space), _schedule(space), _comfyui(space))
        )
        names.append(
            _row(f"`{space.name}`", ", ".join(space.aliases), _autoencoder(space), _tiny(space), _source(space))
        )
    text = "\n\n".join(
        [INTRODUCTION.rstrip(), "## Numbers", "\n".join(numbers), "## Names and files", "\n".join(names)]
    )
    return ROOT / "docs" / "spaces.md", text + "\n"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _latents(space: LatentSpace) -> str:
    frames = f", {space.temporal} frames a latent frame" if space.dims == 3 else ""
    packed = ", packed 2×2 by the denoiser" if space.packing else ""
    return f"{space.channels} channels, {space.cell_px} px a cell{frames}{packed}"


def _numbers(space: LatentSpace) -> str:
    if space.normalised_by_vae:
        return "in the VAE's weights"
    if max(len(space.shift), len(space.scale)) > 1:
        return "by channel"
    return f"{space.shift[0]:g}, {space.scale[0]:g}"


def _schedule(space: LatentSpace) -> str:
    words = {"sd": "Stable Diffusion's", "flow": "flow matching", None: "neither, or unknown"}
    return words[space.facts.schedule]


def _comfyui(space: LatentSpace) -> str:
    return f"`{space.comfy_class}`" if space.comfy_class else ""


def _autoencoder(space: LatentSpace) -> str:
    parts = [f"`{space.hub_ids[0]}`"] if space.hub_ids else []
    configs = [one.name for one in bundled_configs() if one.space == space.name]
    return "; ".join(parts + ([f"single files too, by data/configs ({', '.join(sorted(configs))})"] if configs else []))


def _tiny(space: LatentSpace) -> str:
    named = [f"`{name}`" for name in (*space.facts.tiny_vaes, *space.facts.bundled_vaes)]
    others = [] if space.facts.tiny_vaes or not space.tiny_decoder else [space.tiny_decoder]
    in_comfyui = [f"`{space.comfy_tiny_name}` in ComfyUI"] if space.comfy_tiny_name else []
    return ", ".join(named + others + in_comfyui)


def _source(space: LatentSpace) -> str:
    linked = re.sub(r"(https?://\S+)", r"<\1>", space.source)
    return f"{linked}. {space.notes}" if space.notes else linked


if __name__ == "__main__":
    raise SystemExit(main())
