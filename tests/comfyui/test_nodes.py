"""The ComfyUI nodes over a stand-in of ComfyUI: pictures, latents, masks, stores, files and errors."""

import importlib.util
import inspect
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import latentfit as lf
from latentfit.comfyui import map_files, maps, nodes, spaces, vaes
from latentfit.comfyui.decode import CELLS, FULL, OWN, LatentFitDecode
from latentfit.comfyui.latent_nodes import LatentFitInterpose, LatentFitUpscale
from latentfit.comfyui.palettizing import FROM_FILE, LatentFitPalettize
from latentfit.comfyui.save_pairs import DECODED, PHOTO, LatentFitSavePairs
from latentfit.errors import LatentfitError
from latentfit.fit import PolynomialMap
from latentfit.images import crop_to_cells, pictures, rgb_tensor
from latentfit.maps import AtScale, enlarge
from latentfit.nets import AnyUpscaler, InterposerV4, PixelVae, TinyDecoder, TinyEncoder
from latentfit.palettes import Palette, dither, nearest_of
from latentfit.runtime import data_path, fingerprint_of
from tests.support.fake_comfyui import SD15, SDXL, ComfyUi, Model, Mystery

SD1 = lf.get_space("sd1")
TABLE, CELL = "bundled/tables/sd1/3.safetensors", "bundled/models/sd1-cell.safetensors"
PACK = Path(nodes.__file__).parent


@pytest.fixture
def comfyui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ComfyUi:
    made = ComfyUi(tmp_path / "ComfyUI", monkeypatch)
    nodes.begin()
    maps._ready.cache_clear()
    return made


@pytest.fixture
def latents() -> Tensor:
    """Smooth, about unit variance: (2, 4, 9, 12)."""
    generator = torch.Generator().manual_seed(5)
    return torch.nn.functional.interpolate(torch.randn(2, 4, 3, 4, generator=generator), (9, 12), mode="bicubic")


def wire(latents: Tensor, space: lf.LatentSpace = SD1, **others: Any) -> dict[str, Any]:
    return {"samples": space.model_to_comfy(latents), **others}


def decode(samples: dict[str, Any], map_name: str = TABLE, **inputs: Any) -> Tensor:
    chosen = {"size": OWN, "enlarging": "bilinear", "tile_cells": 128, "space": spaces.AUTO, **inputs}
    return LatentFitDecode().decode(samples, map_name, **chosen)[0]


def palettize(samples: dict[str, Any], map_name: str, palette: str, **inputs: Any) -> Tensor:
    chosen = {"dither": "none", "strength": 1.0, "enlarge": 1, "space": spaces.AUTO, **inputs}
    return LatentFitPalettize().palettize(samples, map_name, palette, **chosen)[0]


def random_map(source: str, target: str, scale: int = 1, side: int = 3) -> lf.LatentMap:
    channels = [lf.get_space(name).channels for name in (source, target)]
    module = PolynomialMap(channels[0], (side,), scale, True, "latents", channels[1])
    module.set_coefficients(torch.randn(module.coefficients.shape, generator=torch.Generator().manual_seed(1)) * 0.1)
    return lf.LatentMap(module, source, target, scale, name=f"{source} to {target}")


def loaded(label: str) -> lf.Approximation:
    return lf.load(data_path(label.removeprefix("bundled/")))  # type: ignore[return-value]


def own(comfyui: ComfyUi, name: str) -> Path:
    return comfyui.root / "models" / "latentfit" / name


# The pack as ComfyUI finds it


def imported_as_comfyui_does(folder: Path) -> Any:
    name = str(folder).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_comfyui_finds_nodes_and_nothing_for_its_web_page(comfyui: ComfyUi) -> None:
    module = imported_as_comfyui_does(PACK)
    assert set(module.NODE_CLASS_MAPPINGS) == set(module.NODE_DISPLAY_NAME_MAPPINGS) == set(nodes.NODE_CLASS_MAPPINGS)
    assert not hasattr(module, "WEB_DIRECTORY")
    assert (comfyui.root / "models" / "latentfit").is_dir()


def test_a_python_without_the_package_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    module = imported_as_comfyui_does(PACK)

    def lacks(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name="latentfit")

    monkeypatch.setattr(module, "import_module", lacks)
    with pytest.raises(
        ImportError, match=rf"{re.escape(sys.executable)}\) lacks the package latentfit.*-m pip install"
    ):
        _ = module.NODE_CLASS_MAPPINGS


@pytest.mark.parametrize("name", nodes.NODE_CLASS_MAPPINGS)
def test_every_node_explains_itself_and_takes_what_it_declares(comfyui: ComfyUi, name: str) -> None:
    node: Any = nodes.NODE_CLASS_MAPPINGS[name]
    declared = node.INPUT_TYPES()
    everything = {**declared["required"], **declared.get("optional", {})}
    assert all(entry[1].get("tooltip") for entry in everything.values())
    assert all(entry[0] for entry in everything.values()), "no empty combo"
    assert node.DESCRIPTION
    assert node.CATEGORY == "latentfit"
    assert len(node.RETURN_TYPES) == len(node.OUTPUT_TOOLTIPS)
    taken = inspect.signature(getattr(node, node.FUNCTION)).parameters
    assert list(taken)[1:] == list(everything)
    assert all(taken[key].default is not inspect.Parameter.empty for key in declared.get("optional", {}))


# Files


def test_combos_list_what_can_be_used(comfyui: ComfyUi, latents: Tensor) -> None:
    lf.save(random_map("sd1", "sdxl"), own(comfyui, "across.safetensors"))
    lf.save(random_map("sd1", "sd1", 2), own(comfyui, "larger.safetensors"))
    lf.save(
        nearest_of(loaded("bundled/tables/sd1/3.safetensors"), Palette.load("pico-8")), own(comfyui, "few.safetensors")
    )
    lf.save(loaded(TABLE), own(comfyui, "mine/table.safetensors"))
    lf.export(loaded(TABLE), "json", own(comfyui, "mine/table.json"))
    lf.export(loaded(TABLE), "json", own(comfyui, "alone.json"))
    approx = comfyui.root / "models" / "vae_approx"
    torch.save(TinyDecoder(4).state_dict(), approx / "taesd_decoder.pt")
    torch.save(TinyEncoder(4).state_dict(), approx / "taesd_encoder.pt")
    torch.save(PixelVae(4, 16).state_dict(), approx / "decoder_rd.pt")
    torch.save({"other": torch.zeros(3)}, approx / "of_another_program.pt")
    (approx / "damaged.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{broken}")
    torch.save(InterposerV4(width=8, n_blocks=1).state_dict(), approx / "xl-to-v1_interposer-v4.0.pt")
    torch.save(InterposerV4(width=8, n_blocks=1).state_dict(), approx / "between_who_knows_what.pt")
    bundled = [f"bundled/models/{path.name}" for path in (data_path() / "models").glob("*-to-*.safetensors")]
    interposed = map_files.labels("interposed")
    assert (interposed[0], interposed[-1]) == ("across.safetensors", "vae_approx/xl-to-v1_interposer-v4.0.pt")
    assert sorted(interposed[1:-1]) == sorted(bundled)
    enlarging = {f"bundled/models/{path.name}" for path in (data_path() / "models").glob("*-upscaler*.safetensors")}
    assert map_files.labels("upscaled")[0] == "larger.safetensors"
    assert set(map_files.labels("upscaled")[1:]) == enlarging
    assert map_files.labels("palette", "rgb")[0] == "few.safetensors", "what is asked for first comes first"
    assert map_files.labels("bare palette") == ["vae_approx/decoder_rd.pt"]
    pictures = map_files.labels("rgb")
    assert pictures[:2] == ["alone.json", "mine/table.safetensors"]
    assert pictures[-1] == "vae_approx/taesd_decoder.pt"
    assert {TABLE, CELL} <= set(pictures)


def test_an_empty_folder_leaves_advice_in_the_combo(comfyui: ComfyUi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_files, "_bundled", lambda: ())
    (only,) = LatentFitUpscale.INPUT_TYPES()["required"]["map_name"][0]
    assert "put one into models/latentfit" in only
    assert "no such file" in str(LatentFitUpscale.VALIDATE_INPUTS(only))
    monkeypatch.undo()
    assert LatentFitDecode.VALIDATE_INPUTS(TABLE) is True


@pytest.mark.parametrize("label", ["bundled/../pyproject.toml", "bundled/spaces", "vae_approx/"])
def test_labels_do_not_leave_the_model_folders(comfyui: ComfyUi, label: str) -> None:
    assert map_files.path_of(label) is None


def test_a_file_is_read_once_and_again_when_it_changed(comfyui: ComfyUi, latents: Tensor) -> None:
    path = own(comfyui, "mine.safetensors")
    lf.save(loaded(TABLE), path)
    before = LatentFitDecode.IS_CHANGED("mine.safetensors", size=OWN)
    first = decode(wire(latents), "mine.safetensors")
    assert torch.equal(decode(wire(latents), "mine.safetensors"), first)
    assert len({id(module) for module in comfyui.moved}) == 1, "the same module, moved by ComfyUI's management"
    assert LatentFitDecode.IS_CHANGED("mine.safetensors", size=OWN) == before
    lf.save(loaded("bundled/tables/sd1/affine.safetensors"), path)
    os.utime(path, ns=(1, 1))
    assert LatentFitDecode.IS_CHANGED("mine.safetensors", size=OWN) != before
    assert not torch.equal(decode(wire(latents), "mine.safetensors"), first)


# Decode


@pytest.mark.parametrize("label", [TABLE, CELL])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_decode_gives_the_packages_picture(comfyui: ComfyUi, latents: Tensor, label: str, dtype: torch.dtype) -> None:
    samples = wire(latents)
    samples["samples"] = samples["samples"].to(dtype)
    image = decode(samples, label)
    assert image.dtype == torch.float32
    assert image.is_contiguous()
    expected = loaded(label)(SD1.to_model(samples["samples"].float()))
    torch.testing.assert_close(image.movedim(-1, 1), expected, atol=1e-6, rtol=0)


def test_decode_resizes_to_cells_and_to_full_size(comfyui: ComfyUi, latents: Tensor) -> None:
    table, cell = loaded(TABLE)(latents).movedim(1, -1), loaded(CELL)(latents)
    small = decode(wire(latents), CELL, size=CELLS)
    torch.testing.assert_close(small.movedim(-1, 1), torch.nn.functional.avg_pool2d(cell, 8), atol=1e-5, rtol=0)
    large = decode(wire(latents), TABLE, size=FULL, enlarging="nearest-exact")
    torch.testing.assert_close(large, table.repeat_interleave(8, 1).repeat_interleave(8, 2), atol=1e-5, rtol=0)
    assert decode(wire(latents), CELL, size=FULL).shape == (2, 72, 96, 3)


def test_decode_of_large_latents_in_tiles_is_the_whole(comfyui: ComfyUi) -> None:
    large = torch.randn(1, 4, 80, 70)
    torch.testing.assert_close(decode(wire(large), CELL, tile_cells=40), decode(wire(large), CELL), atol=1e-5, rtol=0)


def test_decode_of_a_video_gives_a_picture_a_latent_frame(comfyui: ComfyUi, latents: Tensor) -> None:
    video = torch.stack([latents, latents.flip(-1), latents.flip(-2)], 2)
    image = decode(wire(video))
    assert image.shape == (6, 9, 12, 3)
    torch.testing.assert_close(image[1], decode(wire(latents.flip(-1)))[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(image[3], decode(wire(latents))[1], atol=1e-6, rtol=0)


def test_decode_unpacks_flux2(comfyui: ComfyUi) -> None:
    space, label = lf.get_space("flux2"), "bundled/tables/flux2/3.safetensors"
    latents = torch.randn(1, 32, 6, 8)
    samples = wire(latents, space)
    assert samples["samples"].shape == (1, 128, 3, 4)
    torch.testing.assert_close(decode(samples, label).movedim(-1, 1), loaded(label)(latents))


def test_the_model_tells_the_space(comfyui: ComfyUi, latents: Tensor) -> None:
    torch.save(TinyDecoder(4).state_dict(), comfyui.root / "models" / "vae_approx" / "tiny.pt")
    with pytest.raises(LatentfitError, match=r"does not say which latent space.*'space', or connect 'model'"):
        decode(wire(latents), "vae_approx/tiny.pt")
    told = decode(wire(latents), "vae_approx/tiny.pt", model=Model(SD15()))
    assert torch.equal(told, decode(wire(latents), "vae_approx/tiny.pt", space="sd1"))
    assert decode(wire(latents), TABLE, model=Model(SD15())).shape == (2, 9, 12, 3)


def nan(latents: Tensor) -> dict[str, Any]:
    return wire(latents.index_fill(1, torch.tensor([1]), float("nan")))


class Nested:
    """ComfyUI's tensor of several streams."""

    is_nested = True


@pytest.mark.parametrize(
    ("broken", "inputs", "said"),
    [
        (wire, {"map_name": "bundled/tables/sdxl/3.safetensors", "space": "sd1"}, "takes latents of 'sdxl'.*are 'sd1'"),
        (wire, {"space": "sdxl"}, "takes latents of 'sd1'.*these are 'sdxl'.*Interpose sdxl -> sd1"),
        (wire, {"model": Model(SDXL())}, "takes latents of 'sd1'.*these are 'sdxl'"),
        (wire, {"model": Model(SDXL()), "space": "sd1"}, "node says the latents are 'sd1', the model.*'sdxl'"),
        (wire, {"model": Model(Mystery())}, "format Mystery, which is no registered"),
        (lambda latents: {"samples": latents[:, :3]}, {}, r"expected \(N, 4, h, w\).*got \(2, 3, 9, 12\)"),
        (lambda latents: {"samples": latents[0]}, {}, "expected pictures.*or a video"),
        (lambda latents: {"samples": Nested()}, {}, "several parts in one wire"),
        (nan, {}, "hold NaN or Inf"),
        (lambda latents: wire(latents[:0]), {}, "there are none on the wire"),
        (wire, {"map_name": "gone.safetensors"}, "no such file any more"),
    ],
)
def test_decode_refuses_with_what_to_do(
    comfyui: ComfyUi, latents: Tensor, broken: Any, inputs: dict[str, Any], said: str
) -> None:
    with pytest.raises(LatentfitError, match=said):
        decode(broken(latents), **{"map_name": TABLE, **inputs})


def test_a_map_of_the_other_kind_is_named_with_its_node(comfyui: ComfyUi, latents: Tensor) -> None:
    lf.save(random_map("sd1", "sdxl"), own(comfyui, "across.safetensors"))
    with pytest.raises(LatentfitError, match="use LatentFit Interpose"):
        decode(wire(latents), "across.safetensors")
    with pytest.raises(LatentfitError, match="use LatentFit Decode"):
        LatentFitInterpose().interpose(wire(latents), TABLE, spaces.AUTO)


# Palettize


def levels(image: Tensor) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in image.mul(255).round().int().reshape(-1, 3).tolist()}


def test_palettize_by_a_map_dithers_to_any_palette(comfyui: ComfyUi, latents: Tensor) -> None:
    palette = Palette.load("pico-8")
    for pattern in ("none", "bayer-4"):
        image = palettize(wire(latents), TABLE, "pico-8", dither=pattern, enlarge=2)
        expected = palette.picture(dither(loaded(TABLE)(latents), palette, pattern))  # type: ignore[arg-type]
        enlarged = expected.repeat_interleave(2, -1).repeat_interleave(2, -2)
        torch.testing.assert_close(image.movedim(-1, 1), enlarged)
    assert len(levels(image)) > 4


def test_palettize_takes_cell_decoders_at_cell_size(comfyui: ComfyUi, latents: Tensor) -> None:
    image = palettize(wire(latents), CELL, "sweetie-16")
    cells = torch.nn.functional.avg_pool2d(loaded(CELL)(latents), 8)
    palette = Palette.load("sweetie-16")
    torch.testing.assert_close(image.movedim(-1, 1), palette.picture(palette.nearest(cells)))


def test_palettize_takes_a_palette_from_the_model_folder(comfyui: ComfyUi, latents: Tensor) -> None:
    own(comfyui, "two.hex").write_text("112233\nccddee\n")
    assert "two.hex" in LatentFitPalettize.INPUT_TYPES()["required"]["palette"][0]
    assert levels(palettize(wire(latents), TABLE, "two.hex")) == {(0x11, 0x22, 0x33), (0xCC, 0xDD, 0xEE)}
    before = LatentFitPalettize.IS_CHANGED(TABLE, "two.hex", dither="none")
    own(comfyui, "two.hex").write_text("112233\nccddff\n")
    os.utime(own(comfyui, "two.hex"), ns=(1, 1))
    assert LatentFitPalettize.IS_CHANGED(TABLE, "two.hex", dither="none") != before
    assert levels(palettize(wire(latents), TABLE, "two.hex")) == {(0x11, 0x22, 0x33), (0xCC, 0xDD, 0xFF)}


def test_a_palettized_file_brings_its_palette(comfyui: ComfyUi, latents: Tensor) -> None:
    saved = nearest_of(loaded(TABLE), Palette.load("pico-8"))
    lf.save(saved, own(comfyui, "few.safetensors"))
    image = palettize(wire(latents), "few.safetensors", FROM_FILE)
    torch.testing.assert_close(image.movedim(-1, 1), Palette.load("pico-8").picture(saved.indices(latents)))
    assert torch.equal(palettize(wire(latents), "few.safetensors", "pico-8"), image)
    torch.testing.assert_close(decode(wire(latents), "few.safetensors"), image)


@pytest.mark.parametrize(
    ("label", "palette", "inputs", "said"),
    [
        (TABLE, FROM_FILE, {}, "gives colours and holds no palette; choose one in the node's 'palette'"),
        ("few.safetensors", "nes", {}, "holds palette 'pico-8' of 16 colours, and 'nes' is chosen"),
        ("few.safetensors", FROM_FILE, {"dither": "bayer-2"}, "no colours to dither"),
        ("vae_approx/pixel.pt", FROM_FILE, {"space": "sd1"}, r"16 classes.*name it with 'palette'.*ega16"),
        ("vae_approx/pixel.pt", "slso8", {"space": "sd1"}, "16 classes, palette 'slso8' has 8 colours"),
        ("vae_approx/pixel.pt", "ega16", {}, "does not say which latent space"),
    ],
)
def test_palettize_refuses_with_what_to_do(
    comfyui: ComfyUi, latents: Tensor, label: str, palette: str, inputs: dict[str, Any], said: str
) -> None:
    lf.save(nearest_of(loaded(TABLE), Palette.load("pico-8")), own(comfyui, "few.safetensors"))
    torch.save(PixelVae(4, 16).state_dict(), comfyui.root / "models" / "vae_approx" / "pixel.pt")
    with pytest.raises(LatentfitError, match=said):
        palettize(wire(latents), label, palette, **inputs)


def test_pixelvaes_checkpoints_take_raw_latents_where_they_learned_them(comfyui: ComfyUi, latents: Tensor) -> None:
    path = comfyui.root / "models" / "vae_approx" / "pixel.pt"
    torch.save(PixelVae(4, 16).state_dict(), path)
    images = []
    for domain in ("model", "raw"):
        image = palettize(wire(latents), "vae_approx/pixel.pt", "ega16", space="sd1", learned_from=domain)
        network = lf.load(path, "sd1", palette="ega16", domain=domain)  # type: ignore[arg-type]
        torch.testing.assert_close(image.movedim(-1, 1), network(latents))  # type: ignore[arg-type]
        images.append(image)
    assert not torch.equal(*images)


# Interpose and Upscale


def test_interpose_gives_the_other_spaces_raw_latents_and_keeps_the_wire(comfyui: ComfyUi, latents: Tensor) -> None:
    across, sdxl = random_map("sd1", "sdxl"), lf.get_space("sdxl")
    lf.save(across, own(comfyui, "across.safetensors"))
    mask = torch.rand(2, 1, 72, 96)
    came = wire(latents, noise_mask=mask, batch_index=[4, 7], downscale_ratio_spacial=8, mine="kept")
    (gone,) = LatentFitInterpose().interpose(came, "across.safetensors", spaces.AUTO, Model(SD15()))
    torch.testing.assert_close(gone["samples"], sdxl.to_raw(across(latents)))
    assert gone["noise_mask"] is mask
    assert (gone["batch_index"], gone["mine"]) == ([4, 7], "kept")
    assert "downscale_ratio_spacial" not in gone
    assert torch.equal(came["samples"], SD1.to_raw(latents)), "the wire that came stays as it was"


def test_interpose_says_when_latents_look_like_another_familys(
    comfyui: ComfyUi, caplog: pytest.LogCaptureFixture
) -> None:
    lf.save(random_map("sd1", "sdxl"), own(comfyui, "across.safetensors"))
    photograph = pictures("photographs")[0]
    rgb = rgb_tensor(crop_to_cells(photograph.load()[0], 256, 8)[0])
    for name, expected in (("sd1", 0), ("sdxl", 1)):
        vae = lf.Vae.load(f"mini-{name}", device="cpu")
        came = wire(vae.encode(rgb), lf.get_space(name))
        LatentFitInterpose().interpose(came, "across.safetensors", spaces.AUTO)
        assert len(caplog.messages) == expected
    assert (
        "read as SD1 latents, but by their statistics likelier SDXL latents; if so, choose a map of sdxl"
        in caplog.messages[0]
    )


def test_upscale_resizes_masks_with_the_latents(comfyui: ComfyUi, latents: Tensor) -> None:
    larger = random_map("sd1", "sd1", 2)
    lf.save(larger, own(comfyui, "larger.safetensors"))
    mask = torch.zeros(2, 1, 72, 96)
    mask[..., 48:] = 1
    came = wire(latents, noise_mask=mask, batch_index=[0, 1])
    (doubled,) = LatentFitUpscale().upscale(came, "larger.safetensors", 0.0, spaces.AUTO)
    torch.testing.assert_close(SD1.to_model(doubled["samples"]), larger(latents))
    assert doubled["noise_mask"].shape == (2, 1, 144, 192)
    assert doubled["noise_mask"].mean() == mask.mean()
    assert doubled["batch_index"] == [0, 1]
    (half,) = LatentFitUpscale().upscale(came, "larger.safetensors", 1.5, "sd1")
    torch.testing.assert_close(SD1.to_model(half["samples"]), larger(latents, size=(14, 18)))
    (fourfold,) = LatentFitUpscale().upscale(came, "larger.safetensors", 4.0, "sd1")
    torch.testing.assert_close(SD1.to_model(fourfold["samples"]), larger(larger(latents)))
    assert half["noise_mask"].shape == (2, 1, 112, 144)  # as the 14 rows of cells


def test_upscale_goes_beyond_two_in_steps_and_large_latents_in_tiles(
    comfyui: ComfyUi, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = lf.LatentMap(AtScale(AnyUpscaler(4, 6, 1, 6), 2), "sd1", "sd1", 2)
    lf.save(free, own(comfyui, "free.safetensors"))
    lf.save(random_map("sd1", "sd1", 2), own(comfyui, "larger.safetensors"))
    small = 0.1 * torch.randn(1, 4, 8, 8)
    (threefold,) = LatentFitUpscale().upscale(wire(small), "free.safetensors", 3.0, "sd1")
    torch.testing.assert_close(SD1.to_model(threefold["samples"]), enlarge(free, small, 3), atol=1e-4, rtol=1e-4)
    seen: list[int] = []
    call = lf.LatentMap.__call__
    monkeypatch.setattr(lf.LatentMap, "__call__", lambda self, *given: (seen.append(1), call(self, *given))[1])
    for factor in (0.0, 2.0, 1.5):
        (made,) = LatentFitUpscale().upscale(wire(torch.zeros(1, 4, 20, 140)), "larger.safetensors", factor, "sd1")
        assert made["samples"].shape[-1] == int(140 * (factor or 2))
    assert not seen, "a latent of more than a tile went through as a whole"


def test_interpose_between_pictures_and_videos(comfyui: ComfyUi, latents: Tensor) -> None:
    to_video, from_video, to_packed = random_map("sd1", "wan21"), random_map("wan21", "sd1"), random_map("sd1", "flux2")
    for name, one in {"a": to_video, "b": from_video, "c": to_packed}.items():
        lf.save(one, own(comfyui, f"{name}.safetensors"))
    (video,) = LatentFitInterpose().interpose(wire(latents), "a.safetensors", spaces.AUTO)
    assert video["samples"].shape == (2, 16, 1, 9, 12)
    (picture,) = LatentFitInterpose().interpose(video, "b.safetensors", spaces.AUTO)
    assert picture["samples"].shape == (2, 4, 9, 12)
    frames = wire(torch.randn(1, 16, 3, 9, 12), lf.get_space("wan21"))
    with pytest.raises(LatentfitError, match=r"video of 3 latent frames.*cut one frame out"):
        LatentFitInterpose().interpose(frames, "b.safetensors", spaces.AUTO)
    even = wire(latents[..., :8, :])
    (packed,) = LatentFitInterpose().interpose(even, "c.safetensors", spaces.AUTO)
    assert packed["samples"].shape == (2, 128, 4, 6)


# Save Pairs


class FakeVae:
    """ComfyUI's VAE: a network, and a decode to (N, H, W, 3)."""

    def __init__(self, gain: float = 1.0) -> None:
        self.first_stage_model = torch.nn.Conv2d(4, 3, 1)
        torch.nn.init.constant_(self.first_stage_model.weight, 0.3 * gain)
        torch.nn.init.zeros_(self.first_stage_model.bias)  # type: ignore[arg-type]
        self.n_decoded = 0

    def decode(self, samples: Tensor) -> Tensor:
        self.n_decoded += len(samples)
        with torch.no_grad():
            rgb = self.first_stage_model(SD1.to_model(samples)).sigmoid()
        return rgb.repeat_interleave(8, 2).repeat_interleave(8, 3).movedim(1, -1)


def keep(samples: dict[str, Any], **inputs: Any) -> str:
    chosen = {"store": "mine", "keep": "rgb", "space": "sd1", **inputs}
    answer = LatentFitSavePairs().keep(samples, **chosen)
    assert answer["result"][0] is samples
    return str(answer["ui"]["text"][0])


def test_save_pairs_writes_a_shard_a_run_and_each_latent_once(comfyui: ComfyUi, latents: Tensor) -> None:
    vae = FakeVae()
    assert "2 new, 0 already there, 2 in all" in keep(wire(latents), vae=vae, vae_name="mine")
    assert "0 new" not in keep(wire(latents[:1]), vae=vae, vae_name="mine")
    more = torch.cat([latents, latents.flip(-1), latents.flip(-1)])
    assert "2 new, 4 already there, 4 in all" in keep(wire(more), vae=vae, vae_name="mine")
    assert vae.n_decoded == 4, "what the store has is not decoded again"
    folder = comfyui.root / "output" / "latentfit" / "mine"
    assert len(list(folder.glob("*.safetensors"))) == 2
    store = lf.PairStore(folder)
    store.verify()
    assert (store.vae_name, store.space.name, len(store)) == ("mine", "sd1", 4)
    assert store.fingerprint == vaes.fingerprint(vae) == fingerprint_of(vae.first_stage_model)
    for batch in store.batches(columns=("latents", "cells", "rgb", "clipped")):
        rgb = vae.decode(SD1.to_raw(batch.latents)).movedim(-1, 1)
        assert batch.rgb is not None
        assert (rgb - batch.rgb).abs().max() <= 0.6 / 255
        assert (torch.nn.functional.avg_pool2d(rgb, 8) - batch.cells).abs().max() < 1e-3
    assert lf.ChannelMap("affine").fit(store, "all").approximation().space == SD1


def test_save_pairs_keeps_given_images_and_photographs(comfyui: ComfyUi, latents: Tensor) -> None:
    images = torch.rand(2, 72, 96, 4)
    keep(wire(latents), store="named", images=images, vae_name="some VAE")
    (batch,) = lf.PairStore(comfyui.root / "output/latentfit/named").batches(columns=("latents", "cells", "rgb"))
    assert batch.rgb is not None
    order = [0, 1] if (batch.latents[0] - latents[0]).abs().max() < 0.01 else [1, 0]
    assert (batch.rgb - images[order, ..., :3].movedim(-1, 1)).abs().max() <= 0.6 / 255
    keep(wire(latents), store="photos", vae=FakeVae(), images=images, images_are=PHOTO)
    store = lf.PairStore(comfyui.root / "output/latentfit/photos")
    assert store.columns == ("latents", "cells", "clipped", "rgb", "photo")
    (batch,) = store.batches(columns=("latents", "cells", "photo"))
    assert batch.photo is not None
    assert (batch.photo - images[order, ..., :3].movedim(-1, 1)).abs().max() <= 0.6 / 255


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"space": spaces.AUTO, "vae": FakeVae()}, "choose it in 'space', or connect 'model'"),
        ({}, "connect 'vae'"),
        ({"images": torch.rand(2, 72, 96, 3)}, "not said which VAE.*name it in 'vae_name'"),
        ({"images": torch.rand(2, 72, 96, 3), "images_are": PHOTO, "vae_name": "x"}, "connect 'vae'"),
        ({"images": torch.rand(1, 72, 96, 3), "vae": FakeVae()}, "belong to 2 images of 96x72 px, got 1 of 96x72"),
        ({"images": torch.rand(2, 64, 96, 3), "vae": FakeVae()}, "got 2 of 96x64"),
        ({"images": torch.full((2, 72, 96, 3), float("nan")), "vae": FakeVae()}, "image: holds NaN or Inf"),
        ({"store": "../elsewhere", "vae": FakeVae()}, "below output/latentfit"),
        ({"store": "", "vae": FakeVae()}, "below output/latentfit"),
        ({"store": "/tmp/anywhere", "vae": FakeVae()}, "below output/latentfit"),
        ({"vae": FakeVae(float("nan"))}, "the VAE gave NaN"),
        ({"space": "wan22", "vae": FakeVae()}, r"expected \(N, 48, h, w\)"),
        ({"space": "cascade_b", "vae": FakeVae()}, "check 'space'"),
    ],
)
def test_save_pairs_refuses_with_what_to_do(
    comfyui: ComfyUi, latents: Tensor, inputs: dict[str, Any], said: str
) -> None:
    with pytest.raises(LatentfitError, match=said):
        keep(wire(latents), **inputs)
    assert not list((comfyui.root / "output").rglob("*.safetensors"))


def test_save_pairs_keeps_vaes_and_columns_apart(comfyui: ComfyUi, latents: Tensor) -> None:
    keep(wire(latents), vae=FakeVae(), vae_name="first")
    with pytest.raises(
        LatentfitError, match=r"holds pairs of first, these are of second.*fingerprint.*another 'store'"
    ):
        keep(wire(latents.flip(-1)), vae=FakeVae(2.0), vae_name="second")
    with pytest.raises(LatentfitError, match="columns"):
        keep(wire(latents.flip(-1)), vae=FakeVae(), vae_name="first", keep="cells")
    video = torch.stack([latents, latents], 2)
    with pytest.raises(LatentfitError, match="video of 2 latent frames"):
        keep(wire(video), vae=FakeVae())
    assert "2 new" in keep(wire(latents.flip(-1)), vae=FakeVae(), images_are=DECODED)


def test_a_vaes_fingerprint_is_the_packages_own(tmp_path: Path) -> None:
    from diffusers import AutoencoderKL

    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    network = AutoencoderKL(block_out_channels=(4,) * 4, norm_num_groups=2, **blocks)
    network.save_pretrained(tmp_path / "mine")
    theirs = FakeVae()
    theirs.first_stage_model = network
    assert vaes.fingerprint(theirs) == lf.Vae.load(str(tmp_path / "mine"), space="sd1").fingerprint
