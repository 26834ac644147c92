"""Every latent space of the registry: its facts are whole, its names its own, its crossings invertible."""

import json
import re
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

import latentfit as lf
from latentfit.comfyui.spaces import choices
from latentfit.errors import BadFileError, DomainError, SpaceMismatchError
from latentfit.formats import spaces_by_name
from latentfit.latents import Denoiser, LatentSpace, SpaceFacts, facts_of, spaces_in
from latentfit.previews import axes_of
from latentfit.scores import masking_strength, schedule_of, sigma_at
from latentfit.vae import BUNDLED, PUBLIC_TINY, bundled_configs
from recipes.cards import spaces as page
from tests.support.paths import ROOT

REGISTRY = ROOT / "data" / "spaces" / "spaces.json"
ENTRIES: list[dict[str, Any]] = json.loads(REGISTRY.read_text("utf-8"))["spaces"]
SPACES = lf.list_spaces()
NAMES = [space.name for space in SPACES]
IN_HEADERS = (
    "name", "channels", "cell_px", "shift", "scale", "normalised_by_vae", "packing", "dims", "temporal", "measured",
    "aliases", "hub_ids", "tiny_decoder", "comfy_class", "comfy_tiny_name", "source", "notes",
)  # fmt: skip
every_space = pytest.mark.parametrize("space", SPACES, ids=NAMES)


def plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def latents_of(space: LatentSpace) -> torch.Tensor:
    shape = (2, space.channels, 2, 4, 6) if space.dims == 3 else (2, space.channels, 4, 6)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_the_registry_is_what_the_file_holds() -> None:
    assert [entry["name"] for entry in ENTRIES] == NAMES
    assert len(NAMES) >= 33


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_an_entry_says_everything_or_null(entry: dict[str, Any]) -> None:
    facts = {one.name for one in fields(SpaceFacts)}
    assert set(entry) - {"measured"} == facts | set(IN_HEADERS) - {"measured"}
    assert all(entry[key] is not None for key in facts - {"title", "kl_name", "schedule"})


@every_space
def test_names_lead_to_one_space_each(space: LatentSpace) -> None:
    assert lf.get_space(space.name) == space
    assert lf.get_space(space.name.upper()) is lf.get_space(space.name)
    assert all(lf.get_space(alias).name == space.name for alias in space.aliases)


def test_names_aliases_titles_and_codes_are_unique() -> None:
    called = Counter(plain(name) for space in SPACES for name in {plain(one) for one in (space.name, *space.aliases)})
    assert [name for name, count in called.items() if count > 1] == []
    for values in (
        [space.title for space in SPACES],
        [space.kl_name for space in SPACES],
        [space.comfy_class for space in SPACES if space.comfy_class],
        [name for space in SPACES for name in (*space.facts.tiny_vaes, *space.facts.bundled_vaes)],
        [mark for space in SPACES for mark in space.facts.checkpoint_keys],
        [rank for space in SPACES for rank in space.facts.checkpoint_keys.values()],
        [mark for space in SPACES for mark in space.facts.checkpoint_architectures],
        [(axes, name) for space in SPACES for axes, names in space.facts.video_axes.items() for name in names],
        [code for space in SPACES for code in space.facts.file_codes.items()],
    ):
        assert [value for value, count in Counter(values).items() if count > 1] == []


@every_space
def test_crossings_are_inverse(space: LatentSpace) -> None:
    latents = latents_of(space)
    if space.normalised_by_vae:
        with pytest.raises(DomainError, match="normalisation lives in the VAE's weights"):
            space.to_raw(latents)
    else:
        assert torch.allclose(space.to_model(space.to_raw(latents)), latents, rtol=1e-9, atol=1e-9)
        assert torch.allclose(space.to_raw(space.to_model(latents)), latents, rtol=1e-9, atol=1e-9)


@every_space
def test_crossings_to_comfyui_are_inverse(space: LatentSpace) -> None:
    latents = latents_of(space)
    there = space.model_to_comfy(latents)
    assert torch.allclose(space.comfy_to_model(there), latents, rtol=1e-9, atol=1e-9)
    assert there.numel() == latents.numel()


@every_space
def test_facts_say_where_they_are_from(space: LatentSpace) -> None:
    cited = r"https?://\S+|ComfyUI|diffusers|Draw Things|SceneWorks|Wan2GP"
    assert re.search(cited, space.source)


@every_space
def test_what_is_saved_of_a_space_stays_as_it_was(space: LatentSpace) -> None:
    assert tuple(space.to_dict()) == IN_HEADERS
    again = LatentSpace.from_dict(json.loads(json.dumps(space.to_dict())))
    assert again == space
    assert (again.title, again.kl_name, again.facts) == (space.title, space.kl_name, space.facts)
    assert replace(space, notes="other", aliases=()) == space


@every_space
def test_a_vae_of_a_bundled_config_can_be_built(space: LatentSpace) -> None:
    for entry in (one for one in bundled_configs() if one.space == space.name):
        with torch.device("meta"):
            module = entry.module()
        config: Any = module.config
        assert (config.get("latent_channels") or config.get("z_dim")) == space.channels
    assert {one.space for one in bundled_configs()} <= set(NAMES)


@every_space
def test_denoisers_and_axes_are_classes_of_diffusers(space: LatentSpace) -> None:
    import diffusers

    listed = [one.class_name for one in space.facts.denoisers]
    listed += [name for names in space.facts.video_axes.values() for name in names]
    assert [name for name in listed if not isinstance(getattr(diffusers, name, None), type)] == []


def test_what_was_listed_by_hand_derives_from_the_registry() -> None:
    assert choices()[1:] == NAMES
    assert {name: space for name, (_, space) in (PUBLIC_TINY | BUNDLED).items()}.items() >= {
        "taesd": "sd1", "taesdxl": "sdxl", "taesd3": "sd3", "taef1": "flux1", "taef2": "flux2", "taesana": "sana_dcae",
        "mini-sd1": "sd1", "mini-sdxl": "sdxl", "mini-flux1": "flux1",
    }.items()  # fmt: skip
    assert all((ROOT / "data" / "vaes" / name).is_dir() for name in BUNDLED)
    assert spaces_by_name(Path("fx-to-v1_interposer-v4.0.safetensors")) == ("flux1", "sd1")
    assert spaces_by_name(Path("ca-to-xl_interposer-v4.0.safetensors")) == ("cascade_b", "sdxl")
    assert spaces_by_name(Path("zz-to-xl_interposer-v4.0.safetensors")) is None
    assert {name: lf.get_space(name).title for name in ("sd1", "sdxl", "sd3", "flux1", "flux2", "wan21", "wan22")} == {
        "sd1": "SD1", "sdxl": "SDXL", "sd3": "SD3", "flux1": "FLUX.1", "flux2": "FLUX.2", "wan21": "Wan 2.1",
        "wan22": "Wan 2.2",
    }  # fmt: skip
    assert lf.get_space("mochi").title == "mochi"
    assert lf.get_space("flux2").kl_name == "FLUX.2's KL-VAE"
    assert lf.get_space("wan21").kl_name == "Wan 2.1's VAE"
    assert axes_of(object()) is None


def test_a_denoiser_fits_by_class_and_config() -> None:
    class UNet2DConditionModel:
        def __init__(self, **config: Any) -> None:
            self.config = config

    def spaces_of(**config: Any) -> list[str]:
        module = UNet2DConditionModel(**config)
        return [space.name for space in SPACES if any(one.fits(module) for one in space.facts.denoisers)]

    assert spaces_of(in_channels=4, addition_embed_type="text_time") == ["sdxl", "playground25", "eq_sdxl"]
    assert spaces_of(in_channels=9, addition_embed_type=None) == spaces_of(in_channels=4) == ["sd1"]
    assert spaces_of(in_channels=16) == spaces_of(in_channels=4, addition_embed_type="image") == []
    assert not Denoiser("Other").fits(UNet2DConditionModel())


def test_an_unknown_schedule_is_unknown() -> None:
    assert {name: schedule_of(name) for name in ("sd1", "sdxl", "sd3", "flux1", "flux2", "wan21")} == {
        "sd1": "sd", "sdxl": "sd", "sd3": "flow", "flux1": "flow", "flux2": "flow", "wan21": "flow",
    }  # fmt: skip
    for name in ("cascade_prior", "cogvideox", "my-own-space"):
        assert schedule_of(name) is None
        for call in (masking_strength, sigma_at):
            with pytest.raises(DomainError, match=r"schedule.*'sd', 'flow'.*None.*name the one"):
                call(0.5, schedule_of(name))
    own = LatentSpace("my-own-space", 4, 8)
    assert (own.title, own.kl_name, own.facts) == ("my-own-space", "my-own-space's VAE", SpaceFacts())
    assert facts_of("my-own-space").schedule is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"schedule": "vp"}, r"schedule.*'sd', 'flow', None"),
        ({"schedule": ...}, "lacks schedule"),
        ({"nickname": "x"}, "unknown field 'nickname'"),
        ({"denoisers": [{"class_name": "A"}]}, "lacks config"),
        ({"file_codes": {"elsewhere": "x"}}, "unknown field 'elsewhere'"),
        ({"shift": [0.0, 1.0]}, "1 or 4"),
        ({"invokeai": ["blur"]}, "'bias', 'smoothing'"),
        ({"name": "sdxl"}, "'sdxl' stands there twice"),
    ],
)
def test_a_wrong_entry_is_refused(change: dict[str, Any], told: str, registry: Any) -> None:
    entry = {**ENTRIES[0], **change}
    with pytest.raises((BadFileError, SpaceMismatchError, DomainError), match=told):
        registry([{key: one for key, one in entry.items() if one is not ...}, *ENTRIES[1:]])


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Read a registry of other entries."""

    def read(entries: list[dict[str, Any]]) -> list[LatentSpace]:
        path = tmp_path / "spaces.json"
        path.write_text(json.dumps({"about": "", "spaces": entries}), encoding="utf-8")
        return spaces_in(path)

    return read


def test_a_space_of_ones_own_is_one_entry(registry: Any) -> None:
    empty = {"schedule": None, "title": "Own", "kl_name": None, "denoisers": [], "aliases": ["own vae"], "hub_ids": []}
    own = {**ENTRIES[0], **empty, "name": "a-space-of-ones-own"}
    assert [space.name for space in registry([*ENTRIES, own])] == [*NAMES, "a-space-of-ones-own"]


def test_the_page_of_spaces_is_what_the_registry_says() -> None:
    path, text = page.page()
    assert path == ROOT / "docs" / "spaces.md"
    assert path.read_text("utf-8") == text, "run `python -m recipes.cards.spaces`"
    assert all(f"`{name}`" in text for name in NAMES)
