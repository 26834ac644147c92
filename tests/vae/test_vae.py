"""Reference autoencoders: every way in gives the same latents, in the space that it should."""

import contextlib
import io
import json
import pickle
from pathlib import Path

import pytest
import torch
from diffusers import (
    AutoencoderDC,
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLHunyuanImage,
    AutoencoderKLLTXVideo,
    AutoencoderKLQwenImage,
    AutoencoderKLTemporalDecoder,
    AutoencoderKLWan,
    AutoencoderTiny,
    VQModel,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from latentfit.errors import BadFileError, DomainError, SpaceMismatchError, VaeError
from latentfit.images import crop_to_cells, open_rgb, rgb_tensor
from latentfit.latents import LatentSpace, get_space, pack_flux2, unpack_flux2
from latentfit.nets import TinyDecoder, TinyEncoder
from latentfit.runtime import WeightsFile, fingerprint_of
from latentfit.vae import TinyNetwork, Vae, measured_space


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """These networks are too small for two threads, which only wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def random_kl(cls=AutoencoderKL, *, n_levels=2, width=32, **config):
    torch.manual_seed(1)
    return cls(
        down_block_types=("DownEncoderBlock2D",) * n_levels,
        up_block_types=("UpDecoderBlock2D",) * n_levels,
        block_out_channels=tuple(width * 2**level for level in range(n_levels)),
        **{"latent_channels": 4, "layers_per_block": 2, **config},
    ).eval()


def random_flux2():
    vae = random_kl(AutoencoderKLFlux2, latent_channels=4, decoder_block_out_channels=(32, 64))
    vae.bn.running_mean.copy_(torch.randn(16))
    vae.bn.running_var.copy_(torch.rand(16) + 0.5)
    return vae


WAN = {"base_dim": 8, "dim_mult": [1, 2, 2, 2], "num_res_blocks": 1}
MODELS = {
    "AutoencoderKL": lambda: random_kl(scaling_factor=0.5, shift_factor=0.25),
    "no_quant_conv": lambda: random_kl(use_quant_conv=False, use_post_quant_conv=False),
    "AutoencoderTiny": lambda: AutoencoderTiny(),
    "AutoencoderKLFlux2": random_flux2,
    "AutoencoderDC": lambda: AutoencoderDC(
        latent_channels=4, attention_head_dim=2, encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"), encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8), encoder_layers_per_block=(1, 1), decoder_layers_per_block=(1, 1),
        encoder_qkv_multiscales=((), (5,)), decoder_qkv_multiscales=((), (5,)), upsample_block_type="interpolate",
        downsample_block_type="conv", scaling_factor=0.4,
    ),
    "AutoencoderKLWan": lambda: AutoencoderKLWan(**WAN),
    "AutoencoderKLQwenImage": lambda: AutoencoderKLQwenImage(**WAN),
    "wan22": lambda: AutoencoderKLWan(
        **WAN, z_dim=4, in_channels=12, out_channels=12, patch_size=2, is_residual=True, scale_factor_spatial=16,
        latents_mean=[0.1, 0.2, 0.3, 0.4], latents_std=[1.0, 2.0, 3.0, 4.0],
    ),
    "AutoencoderKLLTXVideo": lambda: AutoencoderKLLTXVideo(
        latent_channels=8, block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1), decoder_layers_per_block=(1, 1, 1, 1, 1), patch_size=1,
        spatio_temporal_scaling=(True, True, False, False), decoder_spatio_temporal_scaling=(True, True, False, False),
        decoder_inject_noise=(False,) * 5, upsample_residual=(False,) * 4, upsample_factor=(1,) * 4,
    ),
    "AutoencoderKLTemporalDecoder": lambda: random_kl_temporal(),
    "AutoencoderKLHunyuanImage": lambda: AutoencoderKLHunyuanImage(
        in_channels=3, out_channels=3, latent_channels=8, block_out_channels=(32, 64), layers_per_block=1,
        spatial_compression_ratio=2, sample_size=32, scaling_factor=0.75,
    ),
    "VQModel": lambda: VQModel(norm_num_groups=8, block_out_channels=(16,), scaling_factor=0.3),
}  # fmt: skip


def random_kl_temporal():
    return AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 2, block_out_channels=(32, 64), layers_per_block=1
    )


@pytest.fixture
def picture():
    """Smooth colours, (1, 3, 64, 96) in [0, 1]."""
    coarse = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(3))
    return torch.nn.functional.interpolate(coarse, size=(64, 96), mode="bicubic").clamp(0, 1)


def mode_of(model, picture):
    """The model's own latents by diffusers' own calls: what ours are checked against."""
    signed = picture * 2 - 1
    has_time = isinstance(model, AutoencoderKLWan | AutoencoderKLQwenImage | AutoencoderKLLTXVideo)
    with torch.no_grad():
        answer = model.encode(signed[:, :, None] if has_time else signed)
    for name in ("latents", "latent"):
        if hasattr(answer, name):
            return getattr(answer, name)
    own = answer.latent_dist.mode()
    return own[:, :, 0] if has_time else own


@pytest.mark.parametrize("name", MODELS)
def test_every_class_from_its_folder(name, tmp_path, picture):
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    model.save_pretrained(tmp_path / "my-vae")
    vae = Vae.load(tmp_path / "my-vae", device="cpu")
    own = mode_of(model, picture)
    latents = vae.encode(picture)
    assert latents.shape == own.shape == (1, vae.space.channels, 64 // vae.cell_px, 96 // vae.cell_px)
    assert latents.dtype == torch.float32
    torch.testing.assert_close(vae.crossing.to_own(latents), own, rtol=1e-4, atol=1e-4)
    rgb = vae.decode(latents)
    assert rgb.shape == picture.shape
    assert rgb.min() >= 0
    assert rgb.max() <= 1
    assert vae.fingerprint == Vae.from_module(model, name="my-vae", device="cpu").fingerprint


def test_numbers_come_from_the_config(tmp_path, picture):
    model = random_kl(scaling_factor=0.5, shift_factor=0.25)
    vae = Vae.from_module(model, name="My VAE!", device="cpu")
    assert vae.space == LatentSpace("my-vae", 4, 2, (0.25,), (0.5,))
    assert not vae.space.measured
    torch.testing.assert_close(vae.encode(picture), (mode_of(model, picture) - 0.25) * 0.5)
    wan = Vae.from_module(AutoencoderKLWan(**WAN).eval(), name="x", device="cpu")
    assert wan.space == get_space("qwen-image")
    other = Vae.from_module(MODELS["wan22"]().eval(), name="x", device="cpu")
    assert (other.space.name, other.cell_px, other.space.dims, other.space.temporal) == ("x", 16, 3, 4)
    assert other.space.shift == pytest.approx((0.1, 0.2, 0.3, 0.4))
    assert other.space.scale == pytest.approx((1, 1 / 2, 1 / 3, 1 / 4))


def test_a_tiny_autoencoder_is_not_scaled(tmp_path, picture):
    network = TinyNetwork(TinyEncoder(4).eval(), TinyDecoder(4).eval())
    vae = Vae.from_module(network, name="taesd", space="sd1", device="cpu")
    with torch.no_grad():
        torch.testing.assert_close(vae.encode(picture), network.encoder(picture))
        torch.testing.assert_close(vae.decode_unclamped(vae.encode(picture)), network.decoder(network.encoder(picture)))
    assert vae.reference == "TAESD, standing in for SD1's KL-VAE"
    ours = AutoencoderTiny()
    ours.encoder.layers.load_state_dict(network.encoder.state_dict())
    # diffusers does not count the soft clamp.
    split = ((*key.split(".", 1), tensor) for key, tensor in network.decoder.state_dict().items())
    ours.decoder.layers.load_state_dict({f"{int(place) - 1}.{rest}": tensor for place, rest, tensor in split})
    ours.save_pretrained(tmp_path / "taesd")
    torch.testing.assert_close(
        Vae.load(tmp_path / "taesd", device="cpu").encode(picture), vae.encode(picture), rtol=1e-4, atol=1e-5
    )
    assert Vae.load(tmp_path / "taesd", device="cpu").space == get_space("sd1")
    single = Vae.load(tmp_path / "taesd" / "diffusion_pytorch_model.safetensors", space="sd1", device="cpu")
    torch.testing.assert_close(single.encode(picture), vae.encode(picture), rtol=1e-4, atol=1e-5)


def test_flux2_is_normalised_by_its_batch_norm(picture):
    model = random_flux2()
    vae = Vae.from_module(model, name="x", device="cpu")
    packed = pack_flux2(mode_of(model, picture))
    mean, variance = (part[:, None, None] for part in (model.bn.running_mean, model.bn.running_var))
    expected = unpack_flux2((packed - mean) / (variance + model.bn.eps).sqrt())
    latents = vae.encode(picture)
    torch.testing.assert_close(latents, expected, rtol=1e-4, atol=1e-5)
    assert vae.space.normalised_by_vae
    assert vae.space.packing == "flux2"
    torch.testing.assert_close(vae.crossing.to_own(latents), mode_of(model, picture), rtol=1e-4, atol=1e-5)
    # An odd number of cells has no packed form, but its decode is the decode of the part.
    assert vae.decode(latents[..., :5, :7]).shape == (1, 3, 10, 14)


# single files


def to_ldm_keys(weights, n_levels):
    """diffusers' keys -> latent diffusion's, attention as 1 x 1 convolutions: the inverse, written apart."""
    attention = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
    renamed = {}
    for key, tensor in weights.items():
        parts = key.split(".")
        if parts[1:2] == ["down_blocks"]:
            place = ["block", parts[4]] if parts[3] == "resnets" else ["downsample"]
            parts = ["encoder", "down", parts[2], *place, *parts[5:]]
        elif parts[1:2] == ["up_blocks"]:
            place = ["block", parts[4]] if parts[3] == "resnets" else ["upsample"]
            parts = ["decoder", "up", str(n_levels - 1 - int(parts[2])), *place, *parts[5:]]
        elif parts[1:3] == ["mid_block", "resnets"]:
            parts = [parts[0], "mid", f"block_{int(parts[3]) + 1}", *parts[4:]]
        elif parts[1:3] == ["mid_block", "attentions"]:
            inner = ".".join(parts[4:-1])
            tensor = tensor[:, :, None, None] if tensor.ndim == 2 else tensor
            parts = [parts[0], "mid", "attn_1", attention[inner], parts[-1]]
        name = ".".join(parts).replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
        renamed[name] = tensor.contiguous()
    return renamed


def to_old_diffusers_keys(weights):
    names = {"to_q.": "query.", "to_k.": "key.", "to_v.": "value.", "to_out.0.": "proj_attn."}
    renamed = {}
    for key, tensor in weights.items():
        for new, old in names.items():
            key = key.replace(f"attentions.0.{new}", f"attentions.0.{old}")
        renamed[key] = tensor
    return renamed


LAYOUTS = {
    "diffusers": (lambda weights: weights, ""),
    "diffusers_before_0.18": (to_old_diffusers_keys, ""),
    "ldm": (lambda weights: to_ldm_keys(weights, 3), ""),
    "checkpoint": (lambda weights: to_ldm_keys(weights, 3), "first_stage_model."),
    "vae_prefix": (lambda weights: weights, "vae."),
}


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_single_files_decode_as_their_folder(layout, suffix, tmp_path, picture):
    model = random_kl(n_levels=3, latent_channels=4, scaling_factor=0.5)
    rename, prefix = LAYOUTS[layout]
    weights = {f"{prefix}{key}": tensor for key, tensor in rename(model.state_dict()).items()}
    if prefix:
        weights |= {"model.diffusion_model.out.2.weight": torch.zeros(4), "loss.logvar": torch.zeros(1)}
    path = tmp_path / f"own{suffix}"
    if suffix == ".ckpt":
        torch.save({"state_dict": weights, "global_step": 3}, path)
    else:
        save_file(weights, path)
    space = LatentSpace("own", 4, 4, (0.0,), (0.5,))
    with pytest.warns(UserWarning, match=rf"own\{suffix}: no known config.*norms of 32 groups"):
        opened = Vae.load(path, space=space, device="cpu")
    direct = Vae.from_module(model, name="own", space=space, device="cpu")
    assert opened.fingerprint == direct.fingerprint
    latents = opened.encode(picture)
    torch.testing.assert_close(latents, direct.encode(picture))
    torch.testing.assert_close(opened.decode(latents), direct.decode(latents))


def test_a_flux2_file_needs_nobody(tmp_path, picture):
    model = random_flux2()
    weights = to_ldm_keys(model.state_dict(), 2)
    moved = {"quant_conv.": "encoder.quant_conv.", "post_quant_conv.": "decoder.post_quant_conv."}
    for new, old in moved.items():
        weights = {old + key[len(new) :] if key.startswith(new) else key: tensor for key, tensor in weights.items()}
    save_file(weights, tmp_path / "flux2-vae.safetensors")
    vae = Vae.load(tmp_path / "flux2-vae.safetensors", device="cpu")
    torch.testing.assert_close(vae.encode(picture), Vae.from_module(model, name="x", device="cpu").encode(picture))


def to_wan_keys(weights, n_resnets):
    """diffusers' keys -> Wan 2.1's, where each of the decoder's levels has `n_resnets`."""
    outer = {"conv_in": "conv1", "norm_out": "head.0", "conv_out": "head.2"}
    inner = {"norm1": "residual.0", "conv1": "residual.2", "norm2": "residual.3", "conv2": "residual.6"}
    inner["conv_shortcut"] = "shortcut"
    renamed = {}
    for key, tensor in weights.items():
        half, *parts = key.split(".")
        if half in ("quant_conv", "post_quant_conv"):
            half = "conv1" if half == "quant_conv" else "conv2"
        elif parts[0] in outer:
            parts[0] = outer[parts[0]]
        else:
            parts = [inner.get(part, part) for part in parts]
            if parts[0] == "mid_block":
                parts[:3] = ["middle", "1" if parts[1] == "attentions" else str(2 * int(parts[2]))]
            elif parts[0] == "down_blocks":
                parts[0] = "downsamples"
            else:
                place = int(parts[3]) if parts[2] == "resnets" else n_resnets
                parts[:4] = ["upsamples", str(int(parts[1]) * (n_resnets + 1) + place)]
        renamed[".".join([half, *parts])] = tensor
    return renamed


def test_wan_keys_agree_with_an_inverse_and_with_diffusers():
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    from latentfit.vae import to_diffusers_keys

    with torch.device("meta"):
        model = AutoencoderKLWan()
    original = to_wan_keys(model.state_dict(), 3)
    assert {
        "conv1.weight",
        "decoder.conv1.weight",
        "encoder.middle.0.residual.0.gamma",
        "decoder.head.2.bias",
    } <= original.keys()
    assert set(to_diffusers_keys(original)) == set(model.state_dict())
    assert set(convert_wan_vae_to_diffusers(dict(original))) == set(model.state_dict())


def test_bundled_configs_build_what_they_say():
    from latentfit.vae import bundled_configs

    names = {entry.name for entry in bundled_configs()}
    assert {"sd1", "sdxl", "sd3", "flux1", "flux2", "wan21", "qwen-image"} <= names
    for entry in bundled_configs():
        space = get_space(entry.space)
        latent_keys = [
            key for key in entry.shapes if key.endswith(("decoder.conv_in.weight", "decoder.conv_in.conv.weight"))
        ]
        assert entry.shapes[latent_keys[0]][1] == space.channels
        numbers = entry.config
        if "scaling_factor" in numbers and "latents_std" not in numbers:
            assert space.scale == pytest.approx((numbers["scaling_factor"],))
            assert space.shift == pytest.approx((numbers.get("shift_factor", 0.0),))
        if "latents_std" in numbers:
            factor = numbers.get("scaling_factor", 1.0)
            assert space.scale == pytest.approx([factor / std for std in numbers["latents_std"]])


def test_full_size_files_are_matched_by_their_shapes(tmp_path):
    """Weights as meta tensors cannot be saved, so the matching itself is asked."""
    from latentfit.vae import bundled_configs, shape_differences

    def spaces_of(weights):
        return {entry.space for entry in bundled_configs() if not shape_differences(entry.shapes, weights)}

    from latentfit.vae import to_diffusers_keys

    for name, expected in {
        "sd1": {"sd1", "sdxl", "playground25"},
        "flux1": {"flux1", "sd3"},
        "flux2": {"flux2"},
        "wan21": {"wan21"},
        "wan22": {"wan22"},
        "sana_dcae": {"sana_dcae"},
    }.items():
        entry = next(entry for entry in bundled_configs() if entry.name == name)
        with torch.device("meta"):
            weights = {key: tensor for key, tensor in entry.module().state_dict().items() if "num_batches" not in key}
        assert spaces_of(weights) == expected
        if "KL" in entry.class_name and "Wan" not in entry.class_name:
            assert spaces_of(to_diffusers_keys(to_ldm_keys(weights, 4))) == expected


@pytest.fixture(scope="module")
def sd_sized(tmp_path_factory):
    """The weights of an autoencoder of SD's size, as random as a new one's, in half precision."""
    torch.manual_seed(0)
    model = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, norm_num_groups=32,
    )  # fmt: skip
    weights = {key: tensor.half().contiguous() for key, tensor in to_ldm_keys(model.state_dict(), 4).items()}
    return weights, tmp_path_factory.mktemp("sd_sized")


def test_a_file_that_fits_two_spaces_asks_which(sd_sized):
    weights, folder = sd_sized
    save_file(weights, folder / "alone.safetensors")
    with pytest.raises(VaeError, match=r"sd1, playground25, sdxl share.*space='sd1'.*measured"):
        Vae.load(folder / "alone.safetensors", device="cpu")
    assert Vae.load(folder / "alone.safetensors", space="sdxl", device="cpu").space == get_space("sdxl")
    save_file(
        weights, folder / "spec.safetensors", metadata={"modelspec.architecture": "stable-diffusion-xl-v1-base/vae"}
    )
    assert Vae.load(folder / "spec.safetensors", device="cpu").space == get_space("sdxl")


def test_a_checkpoint_says_which_space(sd_sized):
    weights, folder = sd_sized
    checkpoint = {f"first_stage_model.{key}": tensor for key, tensor in weights.items()}
    checkpoint["conditioner.embedders.0.transformer.text_model.final_layer_norm.bias"] = torch.zeros(2)
    save_file(checkpoint, folder / "checkpoint.safetensors")
    assert Vae.load(folder / "checkpoint.safetensors", device="cpu").space == get_space("sdxl")


# spaces


def test_a_space_of_its_own_is_measured_where_nothing_states_it(tmp_path, picture, monkeypatch):
    model = random_kl()
    save_file(model.state_dict(), tmp_path / "new.safetensors")
    monkeypatch.setattr("latentfit.vae.vae.measuring_pictures", lambda cell_px: iter([picture]))
    vae = Vae.load(tmp_path / "new.safetensors", device="cpu")
    assert vae.space.measured
    assert vae.space.name == "new"
    latents = vae.encode(picture)
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(latents.var((0, 2, 3), correction=0), torch.ones(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(vae.crossing.to_own(latents), mode_of(model, picture), atol=1e-4, rtol=1e-4)
    again = Vae.load(tmp_path / "new.safetensors", space="measured", device="cpu")
    assert again.space == vae.space
    assert measured_space(vae, [picture]).scale == pytest.approx(vae.space.scale, rel=1e-3)


def test_measuring_on_the_bundled_pictures():
    network = TinyNetwork(TinyEncoder(4).eval(), TinyDecoder(4).eval())
    vae = Vae.from_module(network, name="new", space="measured", device="cpu")
    assert vae.space.measured
    assert len(vae.space.scale) == 4


def test_config_and_space_may_not_contradict(tmp_path):
    model = random_kl(n_levels=4, scaling_factor=0.3)
    with pytest.raises(SpaceMismatchError, match=r"scale 0\.18215.*0\.3.*pass a LatentSpace"):
        Vae.from_module(model, name="x", space="sd1", device="cpu")
    meant = LatentSpace("mine", 4, 8, (0.0,), (0.18215,))
    assert Vae.from_module(model, name="x", space=meant, device="cpu").space == meant
    with pytest.raises(SpaceMismatchError, match="16 channels and 8 px a cell"):
        Vae.from_module(model, name="x", space="flux1", device="cpu")


def test_registered_spaces_are_recognised_by_numbers_and_architecture():
    small = Vae.from_module(random_kl(n_levels=4), name="small", device="cpu")
    assert small.space.name == "small"
    named_like_one = Vae.from_module(random_kl(n_levels=4), name="SDXL", device="cpu")
    assert named_like_one.space.name == "sdxl-own"


# numbers in and out


def test_half_precision_keeps_the_fingerprint_and_names_float32(picture):
    def network():
        torch.manual_seed(5)
        return TinyNetwork(TinyEncoder(4), TinyDecoder(4))

    full, half = (Vae.from_module(network(), name="x", device="cpu", dtype=dtype) for dtype in ("float32", "bfloat16"))
    assert full.fingerprint == half.fingerprint
    torch.testing.assert_close(half.encode(picture), full.encode(picture), atol=0.05, rtol=0.1)
    assert half.decode(half.encode(picture)).dtype == torch.float32
    hot = network()
    hot.encoder[0].weight.data *= 1e6
    broken = Vae.from_module(hot, name="hot", device="cpu", dtype="float16")
    with pytest.raises(VaeError, match=r"float16.*dtype='float32'"):
        broken.encode(picture)
    with pytest.raises(VaeError, match="expected finite numbers, got NaN"):
        full.decode(torch.full((1, 4, 2, 2), torch.nan))
    hot.float().encoder[0].weight.data.fill_(torch.nan)
    with pytest.raises(VaeError, match="weights again, which are damaged"):
        Vae.from_module(hot, name="hot", space=full.space, device="cpu").encode(picture)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.rand(3, 16, 16), "floating tensor"),
        (torch.randint(0, 255, (1, 3, 16, 16)), "floating tensor"),
        (torch.rand(1, 3, 17, 16), "multiples of 8 px"),
        (torch.rand(1, 3, 16, 16) * 2 - 1, "values in"),
        (torch.full((1, 3, 16, 16), torch.nan), "values in"),
        (torch.rand(0, 3, 16, 16), "multiples"),
    ],
)
def test_wrong_pictures_are_named(bad, message):
    vae = Vae.from_module(TinyNetwork(TinyEncoder(4), TinyDecoder(4)), name="x", device="cpu")
    with pytest.raises(DomainError, match=message):
        vae.encode(bad)
    with pytest.raises(SpaceMismatchError):
        vae.decode(torch.zeros(1, 5, 4, 4))


def test_batches_and_frames_are_independent(picture):
    vae = Vae.from_module(random_kl(scaling_factor=0.5), name="x", device="cpu")
    both = vae.encode(torch.cat([picture, picture.flip(-1)]))
    torch.testing.assert_close(both[1:], vae.encode(picture.flip(-1)), rtol=1e-4, atol=1e-4)
    frames = both.movedim(0, 1)[None]
    assert vae.decode(frames).shape == (1, 3, 2, 64, 96)
    torch.testing.assert_close(vae.decode(frames)[0].movedim(1, 0), vae.decode(both), rtol=1e-4, atol=1e-4)


def test_the_decoder_is_an_approximation(picture):
    vae = Vae.from_module(random_kl(scaling_factor=0.5), name="x", device="cpu")
    latents = vae.encode(picture)
    approximation = vae.approximation()
    assert approximation.scale == 2
    assert approximation.card["fingerprint"] == vae.fingerprint
    torch.testing.assert_close(approximation(latents), vae.decode(latents))
    decoder = [*vae.network.module.decoder.parameters(), *vae.network.module.post_quant_conv.parameters()]
    assert approximation.n_parameters == sum(parameter.numel() for parameter in decoder)


def test_tiles_are_exact_for_the_plain_tiny_family_only():
    torch.manual_seed(0)
    vae = Vae.from_module(TinyNetwork(TinyEncoder(4), TinyDecoder(4)), name="x", device="cpu")
    picture = torch.rand(1, 3, 64, 8 * 70)
    vae.tile_px = None
    latents = vae.encode(picture)
    rgb = vae.decode_unclamped(latents)
    vae.tile_px = 8 * 48
    torch.testing.assert_close(vae.encode(picture), latents, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(vae.decode_unclamped(latents), rgb, rtol=1e-4, atol=1e-5)
    assert vae.network.receptive_cells == 19
    assert TinyNetwork(TinyEncoder(32, pool=True), TinyDecoder(32, pool=True)).receptive_cells is None
    vae.tile_px = 8 * 20
    with pytest.raises(VaeError, match="more than 304 px"):
        vae.encode(picture)


def test_tiles_of_a_kl_vae_blend_without_seams(picture):
    vae = Vae.from_module(random_kl(), name="x", device="cpu")
    vae.tile_px = None
    latents = vae.encode(picture)
    vae.tile_px = 32
    tiled = vae.encode(picture)
    assert tiled.shape == latents.shape
    assert (tiled - latents).abs().mean() < 0.5 * latents.std()
    assert vae.decode(tiled).shape == picture.shape


# where they lie


def save_pair(folder: Path, stem: str, n_channels: int = 4) -> TinyNetwork:
    network = TinyNetwork(TinyEncoder(n_channels), TinyDecoder(n_channels))
    halved = {key: tensor.bfloat16() for key, tensor in network.encoder.state_dict().items()}
    save_file(halved, folder / f"{stem}_encoder.safetensors")
    torch.save(network.decoder.state_dict(), folder / f"{stem}_decoder.pth")
    return network


def test_pairs_are_found_by_their_common_start(tmp_path):
    save_pair(tmp_path, "taesdxl")
    vae = Vae.load(tmp_path / "taesdxl", space="sdxl", device="cpu")
    assert vae.reference == "TAESDXL, standing in for SDXL's KL-VAE"
    for reference in (tmp_path, tmp_path / "taesdxl", tmp_path / "taesdxl_decoder.pth"):
        assert Vae.load(reference, device="cpu").space == get_space("sdxl")
    save_pair(tmp_path, "my own")
    own = Vae.load(tmp_path / "my own", device="cpu")
    assert (own.space.name, own.space.normalised_by_vae, own.reference) == ("my-own", True, "my own")
    with pytest.raises(VaeError, match="several: my own, taesdxl"):
        Vae.load(tmp_path)
    (tmp_path / "my own_encoder.safetensors").unlink()
    with pytest.raises(VaeError, match=r"got no encoder.*or name my own_decoder.pth itself, which only decodes"):
        Vae.load(tmp_path / "my own")


def test_halves_that_do_not_belong_together(tmp_path):
    save_pair(tmp_path, "a", 4)
    save_pair(tmp_path, "b", 16)
    (tmp_path / "b_decoder.pth").replace(tmp_path / "a_decoder.pth")
    with pytest.raises(VaeError, match="one number of latent channels"):
        Vae.load(tmp_path / "a")
    (tmp_path / "a_encoder.safetensors").unlink()
    (tmp_path / "a_encoder.pth").write_bytes((tmp_path / "a_decoder.pth").read_bytes())
    with pytest.raises(BadFileError, match=r"a_encoder\.pth.*is this the file of a TAESD encoder"):
        Vae.load(tmp_path / "a")


def test_taesd_by_name_from_the_assets(assets, monkeypatch):
    monkeypatch.setenv("LATENTFIT_ASSETS", str(assets))
    decibels = {"taesd": (19, 24), "taesdxl": (19, 24), "taef1": (21, 26), "taef2": (23, 28)}
    names = {"taesd": "sd1", "taesdxl": "sdxl", "taef1": "flux1", "taef2": "flux2"}
    paths = sorted((assets / "images" / "eval").glob("*.jpg"))[:2]
    pictures = [rgb_tensor(crop_to_cells(open_rgb(path.read_bytes()), 192, 8)[0]) for path in paths]
    for preset, (low, high) in decibels.items():
        vae = Vae.load(preset, device="cpu")
        assert vae.space == get_space(names[preset])
        latents = [vae.encode(rgb) for rgb in pictures]
        assert all(0.4 < part.std() < 1.5 for part in latents)
        errors = [(vae.decode(part) - rgb).square().mean() for part, rgb in zip(latents, pictures, strict=True)]
        assert low < -10 * torch.log10(torch.stack(errors).mean()) < high


def test_a_hub_out_of_reach_names_the_ways_on(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    asked = []

    def refuse(repository, **options):
        asked.append(repository)
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    monkeypatch.delenv("LATENTFIT_ASSETS", raising=False)
    for reference in ("sdxl", "z-image", "taesd", "owner/name", "owner/name/vae"):
        with pytest.raises(VaeError, match=r"cannot be had \(no connection\).*single VAE file.*TAESD pair"):
            Vae.load(reference)
    assert asked[0].startswith("stabilityai/")
    assert asked[1:] == ["black-forest-labs/FLUX.1-dev", "madebyollin/taesd", "owner/name", "owner/name"]


def test_a_pipeline_folder_and_a_hub_snapshot(tmp_path, monkeypatch):
    import huggingface_hub

    random_kl(scaling_factor=0.5).save_pretrained(tmp_path / "model" / "vae")
    (tmp_path / "model" / "model_index.json").write_text("{}")
    assert Vae.load(tmp_path / "model", device="cpu").name == "model"
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repository, **options: tmp_path / "model")
    assert Vae.load("owner/thing/vae", device="cpu").name == "thing"


def test_references_that_are_nothing(tmp_path):
    with pytest.raises(VaeError, match="nearest presets: taesd"):
        Vae.load("taes")
    with pytest.raises(VaeError, match="nothing of that name"):
        Vae.load(tmp_path / "absent.safetensors")
    with pytest.raises(VaeError, match="none of them"):
        Vae.load(tmp_path)
    with pytest.raises(VaeError, match="dtype: expected one of float32"):
        Vae.load("taesd", dtype="float64")
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "AutoencoderUnheard"}))
    with pytest.raises(VaeError, match=r"AutoencoderUnheard.*AutoencoderKL"):
        Vae.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(VaeError, match=r"config\.json"):
        Vae.load(tmp_path)


class RunsCode:
    """What a hostile pickle does when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_damaged_and_dangerous_files(tmp_path):
    model = random_kl()
    whole = tmp_path / "whole.safetensors"
    save_file(model.state_dict(), whole)
    (tmp_path / "cut.safetensors").write_bytes(whole.read_bytes()[:5000])
    (tmp_path / "empty.safetensors").write_bytes(b"")
    (tmp_path / "text.ckpt").write_text("not weights")
    (tmp_path / "code.ckpt").write_bytes(pickle.dumps({"encoder.conv_in.weight": RunsCode(tmp_path / "ran")}))
    torch.save([1, 2], tmp_path / "list.pt")
    for name, message in {
        "cut.safetensors": "whole safetensors",
        "empty.safetensors": "zero bytes",
        "text.ckpt": "text.ckpt",
        "code.ckpt": "refused",
        "list.pt": "named tensors",
    }.items():
        with pytest.raises(BadFileError, match=message):
            Vae.load(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def _saved(**options):
    buffer = io.BytesIO()
    torch.save({"state_dict": {"a": torch.arange(3.0), "b": torch.zeros(2, 2)}}, buffer, **options)
    return buffer.getvalue()


WHOLE_FILES = [_saved(), _saved(_use_new_zipfile_serialization=False), save({"a": torch.arange(3.0)}, {"x": "y"})]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    whole=st.sampled_from(WHOLE_FILES),
    edits=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=8),
    kept=st.floats(0, 1),
)
def test_edited_and_cut_files_are_read_or_refused(tmp_path, whole, edits, kept):
    blob = bytearray(whole)
    for place, value in edits:
        blob[int(place * len(blob))] = value
    path = tmp_path / "edited"
    path.write_bytes(bytes(blob[: int(kept * len(blob))]))
    with contextlib.suppress(BadFileError):
        assert all(isinstance(tensor, torch.Tensor) for tensor in WeightsFile(path).read().values())


def test_files_that_hold_no_whole_autoencoder(tmp_path):
    weights = random_kl().state_dict()
    cases = {
        "unet": ({"model.diffusion_model.out.2.weight": torch.zeros(3)}, "expected the weights of an autoencoder"),
        "half": ({key: value for key, value in weights.items() if not key.startswith("encoder")}, "got no encoder"),
        "other": ({key: value for key, value in weights.items() if not key.startswith("decoder")}, "got no decoder"),
        "holes": ({key: value for key, value in weights.items() if "mid_block.resnets.1" not in key}, "differ at"),
        "video": ({"14.weight": torch.zeros(3, 4, 3, 3)}, "half of a TAESD"),
    }
    for name, (tensors, message) in cases.items():
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, tmp_path / f"{name}.safetensors")
        with pytest.raises((VaeError, BadFileError), match=message):
            Vae.load(tmp_path / f"{name}.safetensors")
    save_file(TinyEncoder(4).state_dict(), tmp_path / "lone_encoder.safetensors")
    assert not Vae.load(tmp_path / "lone_encoder.safetensors").decodes  # half of a TAESD encodes
    narrow = random_kl(width=16, norm_num_groups=8)
    save_file(narrow.state_dict(), tmp_path / "narrow.safetensors")
    with pytest.raises(VaeError, match="multiples of 32"):
        Vae.load(tmp_path / "narrow.safetensors")


def test_a_folder_with_weights_of_another_is_refused(tmp_path):
    random_kl(latent_channels=4).save_pretrained(tmp_path / "a")
    random_kl(latent_channels=8).save_pretrained(tmp_path / "b")
    weights = tmp_path / "b" / "diffusion_pytorch_model.safetensors"
    weights.replace(tmp_path / "a" / weights.name)
    with pytest.raises(BadFileError, match="differ at"):
        Vae.load(tmp_path / "a")
    with pytest.raises(VaeError, match=r"expected diffusion_pytorch_model\.safetensors"):
        Vae.load(tmp_path / "b")


def test_fingerprints_see_every_weight():
    network = TinyEncoder(4)
    before = fingerprint_of(network)
    network[14].bias.data[0] += 1e-3
    assert fingerprint_of(network) != before
    assert len(before) == 64
