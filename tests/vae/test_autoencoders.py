"""Every autoencoder of the installed diffusers encodes, decodes and is collected with, or is refused by name."""

import inspect
from pathlib import Path
from typing import Any

import diffusers
import diffusers.models.autoencoders
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import latentfit as lf
from latentfit.errors import VaeError
from latentfit.latents import LatentSpace
from latentfit.vae import NOT_OF_PICTURES, DiffusersNetwork, Vae, departures

WIDE = {"block_out_channels": (8,) * 4, "norm_num_groups": 2, "layers_per_block": 1}
BLOCKS = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
WAN = {"base_dim": 8, "dim_mult": [1, 2, 2, 2], "num_res_blocks": 1}
WORKING: dict[str, dict[str, Any]] = {
    "AsymmetricAutoencoderKL": BLOCKS
    | {"down_block_out_channels": (8,) * 4, "up_block_out_channels": (8,) * 4, "norm_num_groups": 2},
    "AutoencoderDC": {
        "latent_channels": 4,
        "attention_head_dim": 2,
        "encoder_block_types": ("ResBlock", "EfficientViTBlock"),
        "decoder_block_types": ("ResBlock", "EfficientViTBlock"),
        "encoder_block_out_channels": (8, 8),
        "decoder_block_out_channels": (8, 8),
        "encoder_layers_per_block": (1, 1),
        "decoder_layers_per_block": (1, 1),
        "encoder_qkv_multiscales": ((), (5,)),
        "decoder_qkv_multiscales": ((), (5,)),
        "upsample_block_type": "interpolate",
        "downsample_block_type": "conv",
        "scaling_factor": 0.4,
    },
    "AutoencoderKL": BLOCKS | WIDE,
    "AutoencoderKLAllegro": WIDE,
    "AutoencoderKLCogVideoX": WIDE | {"latent_channels": 4},
    "AutoencoderKLCosmos": {
        "encoder_block_out_channels": (8,) * 4,
        "decode_block_out_channels": (8,) * 4,
        "resolution": 64,
        "num_layers": 1,
    },
    "AutoencoderKLFlux2": WIDE,
    "AutoencoderKLHunyuanImage": {
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": 8,
        "block_out_channels": (32, 64),
        "layers_per_block": 1,
        "spatial_compression_ratio": 2,
        "sample_size": 32,
        "scaling_factor": 0.75,
    },
    "AutoencoderKLHunyuanImageRefiner": {"latent_channels": 4, "block_out_channels": (8,) * 5, "layers_per_block": 1},
    "AutoencoderKLHunyuanVideo": WIDE | {"latent_channels": 4},
    "AutoencoderKLHunyuanVideo15": {"latent_channels": 4, "block_out_channels": (8,) * 5, "layers_per_block": 1},
    "AutoencoderKLKVAE": {"channels": 32, "num_enc_blocks": 1, "num_dec_blocks": 1, "z_channels": 4, "ch_mult": (1, 1)},
    "AutoencoderKLKVAEVideo": {"ch": 32, "ch_mult": (1, 1, 1), "num_res_blocks": 1, "z_channels": 4},
    "AutoencoderKLLTX2Video": {
        "latent_channels": 8,
        "block_out_channels": (8, 16, 32, 64),
        "decoder_block_out_channels": (8, 16, 32),
        "layers_per_block": (1,) * 5,
        "decoder_layers_per_block": (1,) * 4,
    },
    "AutoencoderKLLTXVideo": {
        "latent_channels": 8,
        "block_out_channels": (8,) * 4,
        "decoder_block_out_channels": (8,) * 4,
        "layers_per_block": (1,) * 5,
        "decoder_layers_per_block": (1,) * 5,
        "spatio_temporal_scaling": (True, True, False, False),
        "decoder_spatio_temporal_scaling": (True, True, False, False),
        "decoder_inject_noise": (True,) + (False,) * 4,
        "upsample_residual": (False,) * 4,
        "upsample_factor": (1,) * 4,
        "timestep_conditioning": True,
        "patch_size": 1,
    },
    "AutoencoderKLMagvit": WIDE | {"latent_channels": 4},
    "AutoencoderKLMiniMaxH3": {
        "latent_channels": 4,
        "block_out_channels": (8,) * 6,
        "layers_per_block": 1,
        "norm_num_groups": 2,
        "decoder_num_layers": 1,
        "decoder_num_attention_heads": 2,
        "decoder_attention_head_dim": 16,
        "latents_mean": (0.1,) * 4,
        "latents_std": (2.0,) * 4,
    },
    "AutoencoderKLMochi": {
        "encoder_block_out_channels": (32,) * 4,
        "decoder_block_out_channels": (32,) * 4,
        "layers_per_block": (1,) * 5,
    },
    "AutoencoderKLQwenImage": WAN,
    "AutoencoderKLQwenImage21": {"base_dim": 8, "decoder_base_dim": 8, "dim_mult": [1] * 5, "num_res_blocks": 1},
    "AutoencoderKLTemporalDecoder": {
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "block_out_channels": (32, 64),
        "layers_per_block": 1,
    },
    "AutoencoderKLWan": WAN,
    "AutoencoderRAE": {
        "encoder_hidden_size": 64,
        "encoder_num_hidden_layers": 1,
        "encoder_input_size": 56,
        "decoder_hidden_size": 16,
        "decoder_num_hidden_layers": 1,
        "decoder_num_attention_heads": 2,
        "decoder_intermediate_size": 16,
        "patch_size": 8,
    },
    "AutoencoderTiny": {},
    "AutoencoderVidTok": {"ch": 32, "ch_mult": [1, 1, 1], "num_res_blocks": 1},
    "ConsistencyDecoderVAE": {
        "encoder_block_out_channels": (8,) * 4,
        "encoder_norm_num_groups": 2,
        "encoder_layers_per_block": 1,
        "decoder_block_out_channels": (8,) * 4,
        "decoder_norm_num_groups": 2,
        "decoder_layers_per_block": 1,
    },
    "Kandinsky6SRVAE": {
        "latent_channels": 4,
        "encoder_block_out_channels": (8,) * 5,
        "decoder_block_out_channels": (8,) * 5,
        "layers_per_block": 1,
    },
    "VQModel": {"norm_num_groups": 8, "block_out_channels": (16,), "scaling_factor": 0.3},
}
MINI_SD1 = "f1a0e1531e8c855d2c0146f0caa51c4021ea542849c3c826263c5e7086823721"
STATES_NO_NUMBERS = ("AutoencoderKLKVAE", "AutoencoderKLKVAEVideo", "AutoencoderVidTok")


def walked() -> set[str]:
    """Every model in diffusers' folder of autoencoders, and every public class that is called one."""
    folder = diffusers.models.autoencoders
    found = {name for name in dir(folder) if inspect.isclass(getattr(folder, name))}
    named = [name for name in dir(diffusers) if "Autoencoder" in name or name.endswith(("VAE", "Vae", "VQModel"))]
    return found | {name for name in named if inspect.isclass(getattr(diffusers, name))}


def model_of(name: str, **config: Any) -> nn.Module:
    torch.manual_seed(0)
    module: nn.Module = getattr(diffusers, name)(**(WORKING[name] | config))
    return module


def vae_of(name: str, **config: Any) -> Vae:
    module = model_of(name, **config)
    space: LatentSpace | None = None
    if name in STATES_NO_NUMBERS:  # measuring them on photographs takes minutes
        space = LatentSpace("mine", 4, 2 if name == "AutoencoderKLKVAE" else 4, (0.1,), (0.5,), dims=3)
    return Vae.from_module(module, name="mine", space=space, device="cpu")


def test_every_autoencoder_of_diffusers_is_known_to_work_or_to_be_refused() -> None:
    assert walked() == WORKING.keys() | NOT_OF_PICTURES.keys()
    assert not WORKING.keys() & NOT_OF_PICTURES.keys()


@pytest.mark.parametrize("name", sorted(WORKING))
def test_pictures_go_through(name: str) -> None:
    vae = vae_of(name)
    side = vae.network.only_px if isinstance(vae.network, DiffusersNetwork) else None
    height, width = (side, side) if side else (2 * vae.cell_px, 3 * vae.cell_px)
    pictures = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))
    state = torch.get_rng_state()
    latents = vae.encode(pictures)
    assert latents.shape == (2, vae.space.channels, height // vae.cell_px, width // vae.cell_px)
    assert latents.std() > 0
    rgb = vae.decode_unclamped(latents)
    assert rgb.shape == pictures.shape
    assert rgb.std() > 0
    assert torch.equal(torch.get_rng_state(), state)
    for index in range(2):  # each picture alone is what it is in a batch, and the same again
        torch.testing.assert_close(vae.encode(pictures[index : index + 1])[0], latents[index], rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(vae.decode_unclamped(latents)[index], rgb[index])
        alone = vae.decode_unclamped(latents[index : index + 1])[0]
        torch.testing.assert_close(alone, rgb[index], rtol=1e-3, atol=1e-3)
    if name != "VQModel":  # one code of its book is the nearest to all latents of these weights
        assert not torch.allclose(vae.decode_unclamped(latents.flip(0)), rgb)


@pytest.mark.parametrize("name", sorted(WORKING))
def test_what_a_module_of_its_class_does_leaves_its_fingerprint(name: str) -> None:
    module = model_of(name).eval().requires_grad_(False)
    network = DiffusersNetwork(module)
    assert departures(module, is_own_space=name not in ("AutoencoderKLMiniMaxH3", "VQModel", "AutoencoderDC")) in (
        [],
        ["scaling_factor\x000.75"],
    )
    side = network.only_px or 64
    network.decode(network.encode(torch.rand(1, 3, side, side)))
    assert departures(module) == []


@pytest.mark.parametrize("name", ["AutoencoderKLQwenImage21", "AutoencoderKLAllegro", "ConsistencyDecoderVAE"])
def test_pairs_are_collected(name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for index in range(2):
        noise = torch.randint(0, 255, (64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(index))
        Image.fromarray(noise.numpy()).save(tmp_path / "in" / f"{index}.png")
    vae = vae_of(name)
    store = lf.collect(vae, tmp_path / "in", tmp_path / "out", size=64, progress=False)
    assert store.fingerprint == vae.fingerprint
    assert store.space == vae.space
    assert len(store) == 2


@pytest.mark.parametrize("name", sorted(NOT_OF_PICTURES))
def test_what_no_picture_goes_through_is_refused_by_name(name: str) -> None:
    what, advice = NOT_OF_PICTURES[name]
    kind = getattr(diffusers, name)
    module: nn.Module = kind.__new__(kind)
    nn.Module.__init__(module)
    with pytest.raises(VaeError, match=rf"{name}: expected an autoencoder of pictures or video, got {what}; take"):
        Vae.from_module(module, name="x", device="cpu")
    assert advice.startswith("take")


def test_opaque_pictures_enter_an_autoencoder_with_opacity() -> None:
    vae = vae_of("AutoencoderKLQwenImage21")
    assert vae.space == lf.get_space("qwen_image21")
    picture = torch.rand(1, 3, 32, 48)
    model = model_of("AutoencoderKLQwenImage21").eval()
    with torch.no_grad():
        signed = torch.cat([picture * 2 - 1, torch.ones(1, 1, 32, 48)], dim=1).unsqueeze(2)
        own = model.encode(signed).latent_dist.mode()
        decoded = model.decode(own).sample[:, :3, 0]
    mean, deviation = (torch.tensor(model.config[name]) for name in ("latents_mean", "latents_std"))
    expected = (own[:, :, 0] - mean[:, None, None]) / deviation[:, None, None]
    torch.testing.assert_close(vae.encode(picture), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(vae.decode_unclamped(expected), decoded / 2 + 0.5, rtol=1e-4, atol=1e-4)
    layered = vae_of("AutoencoderKLQwenImage", input_channels=4)
    assert layered.decode(layered.encode(picture)).shape == picture.shape
    for channels in (1, 6):
        with pytest.raises(VaeError, match=rf"AutoencoderKL: .* its config says {channels}"):
            vae_of("AutoencoderKL", in_channels=channels, out_channels=channels)


def test_a_still_of_allegro_is_the_middle_of_a_still_film() -> None:
    vae, model = vae_of("AutoencoderKLAllegro"), model_of("AutoencoderKLAllegro").eval()
    picture = torch.rand(1, 3, 32, 48)
    film = (picture * 2 - 1).unsqueeze(2).repeat(1, 1, 4, 1, 1)
    with torch.no_grad():
        moments = model.encoder(film)
        assert moments.shape[2] == 1
        own = model.quant_conv(moments[:, :, 0])[:, :4]
    torch.testing.assert_close(vae.encode(picture), own * 0.13, rtol=1e-4, atol=1e-5)


def test_a_still_of_vidtok_is_its_own_forward() -> None:
    vae, model = vae_of("AutoencoderVidTok"), model_of("AutoencoderVidTok").eval()
    picture = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        own = model((picture * 2 - 1).unsqueeze(2), sample_posterior=False).sample
    assert own.shape == (1, 3, 1, 16, 24)
    expected = own[:, :, 0] / 2 + 0.5
    torch.testing.assert_close(vae.decode_unclamped(vae.encode(picture)), expected, rtol=1e-4, atol=1e-4)


def test_one_size_alone_enters_a_representation_autoencoder() -> None:
    vae = vae_of("AutoencoderRAE")
    assert (vae.cell_px, vae.space.channels) == (8, 64)
    with pytest.raises(VaeError, match=r"expected 32 x 32 px, the one size that it takes, got 64 x 64"):
        vae.encode(torch.rand(1, 3, 64, 64))
    with pytest.raises(VaeError, match=r"expected 4 x 4 cells"):
        vae.decode(torch.rand(1, 64, 2, 4))


# What from_module leaves alone.


def watched(module: nn.Module) -> dict[str, Any]:
    """What a caller could notice of his module."""
    told: dict[str, Any] = {}
    for path, part in module.named_modules():
        told[path] = (type(part), part.training, sorted(vars(part)), len(part._forward_hooks))
    for path, tensor in [*module.named_parameters(), *module.named_buffers()]:
        told[path, "tensor"] = (id(tensor), tensor.dtype, tensor.device, tensor.requires_grad, tensor.data_ptr())
        told[path, "values"] = (tensor._version, tensor.double().sum().item(), tensor.grad is None)
    for name in ("use_tiling", "use_slicing"):
        told[name] = getattr(module, name, None)
    return told


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (64, 64), (200, 40, 90)).save(tmp_path / "pictures" / "one.png")
    return tmp_path / "pictures"


@pytest.mark.parametrize("name", ["AutoencoderKL", "AutoencoderKLWan", "AutoencoderKLFlux2", "AutoencoderTiny"])
def test_the_callers_module_stays_as_it_is(name: str, pictures: Path, tmp_path: Path) -> None:
    module = model_of(name).train().half()
    seen: list[Any] = []
    module.decoder.register_forward_hook(lambda part, given, output: seen.append(part is module.decoder))
    if hasattr(module, "enable_tiling"):
        module.enable_tiling()
        module.enable_slicing()
    before = watched(module)
    vae = Vae.from_module(module, name="mine", device="cpu", dtype="bfloat16")
    latents = vae.encode(torch.rand(1, 3, 64, 64))
    vae.decode(latents)
    vae.approximation()(latents)
    lf.collect(vae, pictures, tmp_path / "store", size=64, progress=False)
    assert watched(module) == before
    assert not any(seen)  # the copy ran, never the module itself


def test_training_on_changes_neither_numbers_nor_fingerprint() -> None:
    module = model_of("AutoencoderKL")
    vae = Vae.from_module(module, name="mine", device="cpu")
    picture = torch.rand(1, 3, 64, 64)
    latents, rgb = vae.encode(picture), vae.decode(torch.ones(1, 4, 8, 8))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.5)
    assert torch.equal(vae.encode(picture), latents)
    assert torch.equal(vae.decode(torch.ones(1, 4, 8, 8)), rgb)
    assert Vae.from_module(module, name="mine", device="cpu").fingerprint != vae.fingerprint


def test_flags_that_save_memory_change_nothing() -> None:
    picture = torch.rand(2, 3, 128, 96)
    plain = vae_of("AutoencoderKL")
    module = model_of("AutoencoderKL")
    module.enable_tiling()
    module.enable_slicing()
    module.tile_sample_min_size = module.tile_latent_min_size = 4
    thrifty = Vae.from_module(module, name="mine", device="cpu")
    assert torch.equal(thrifty.encode(picture), plain.encode(picture))
    assert thrifty.fingerprint == plain.fingerprint


def test_a_compiled_module_is_the_module() -> None:
    module = model_of("AutoencoderKL")
    compiled = torch.compile(module)
    assert Vae.from_module(compiled, name="mine", device="cpu").fingerprint == vae_of("AutoencoderKL").fingerprint
    module.decoder = torch.compile(module.decoder)
    module.encode = torch.compile(module.encode)
    inner = Vae.from_module(module, name="mine", device="cpu")
    assert inner.fingerprint == vae_of("AutoencoderKL").fingerprint
    assert inner.encode(torch.rand(1, 3, 16, 16)).shape == (1, 4, 2, 2)


def test_a_pipeline_is_told_from_its_autoencoder() -> None:
    pipe = diffusers.DDPMPipeline(unet=None, scheduler=diffusers.DDPMScheduler())
    with pytest.raises(VaeError, match=r"got DDPMPipeline; of a pipeline, give its vae"):
        Vae.from_module(pipe, name="mine", device="cpu")
    with pytest.raises(VaeError, match="expected a module with encode and decode, got Linear"):
        Vae.from_module(nn.Linear(1, 1), name="mine", device="cpu")


@pytest.mark.filterwarnings("ignore:.*weight_norm")
def test_weights_that_a_hook_or_a_parametrization_makes() -> None:
    picture = torch.rand(1, 3, 32, 48)
    for normed in (nn.utils.weight_norm, nn.utils.parametrizations.weight_norm):
        module: Any = model_of("AutoencoderKL")
        normed(module.decoder.conv_in)
        before = watched(module)
        vae = Vae.from_module(module, name="mine", device="cpu", dtype="bfloat16")
        assert vae.decode(vae.encode(picture)).shape == picture.shape
        assert watched(module) == before
        plain = vae_of("AutoencoderKL")
        exact = Vae.from_module(module, name="mine", device="cpu")
        torch.testing.assert_close(exact.decode(plain.encode(picture)), plain.decode(plain.encode(picture)))


def test_weights_that_are_elsewhere_are_told_of() -> None:
    with torch.device("meta"):
        module = model_of("AutoencoderKL")
    with pytest.raises(VaeError, match=r"empty ones \(device 'meta'\).*load the VAE from its folder"):
        Vae.from_module(module, name="mine", device="cpu")


# What changes the output changes the fingerprint.


def circular(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            part.padding_mode = "circular"


def one_circular(module: Any) -> None:
    module.decoder.conv_in.padding_mode = "circular"


def patched(module: nn.Module) -> None:
    """As hacks for seamless tiling do: a method replaced on each layer, and what it reads beside it."""

    def forward(self: Any, signed: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        wide = torch.nn.functional.pad(signed, self.around, mode="circular")
        return torch.nn.functional.conv2d(wide, weight, bias, self.stride)

    for part in module.modules():
        if isinstance(part, nn.Conv2d) and part.padding == (1, 1):
            part.around = (1, 1, 1, 1)
            part._conv_forward = forward.__get__(part)


def patched_less(module: Any) -> None:
    patched(module)
    module.decoder.conv_out.around = (1, 1, 1, 1)
    module.decoder.conv_in.__dict__.pop("_conv_forward")


def hooked(module: Any) -> None:
    module.decoder.register_forward_hook(lambda part, given, output: output * 0.5)


def other_epsilon(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.GroupNorm):
            part.eps = 0.1


def other_activation(module: Any) -> None:
    module.decoder.conv_act = nn.ReLU()


def output_scaled(module: Any) -> None:
    module.decoder.up_blocks[0].resnets[0].output_scale_factor = 3.0


class Passing:
    """A processor of attention of somebody's own."""

    def __call__(self, attention: Any, hidden: Tensor, **_: Any) -> Tensor:
        return hidden * 2


def other_attention(module: Any) -> None:
    module.decoder.mid_block.attentions[0].processor = Passing()


def other_function(module: Any) -> None:
    block = module.decoder.mid_block.resnets[0]
    del block.nonlinearity
    block.nonlinearity = torch.tanh


def another_function(module: Any) -> None:
    other_function(module)
    module.decoder.mid_block.resnets[0].nonlinearity = torch.sin


CHANGES = (circular, one_circular, patched, patched_less, hooked, other_epsilon, other_activation, output_scaled,
           other_attention, other_function, another_function)  # fmt: skip


def test_what_changes_the_output_changes_the_fingerprint() -> None:
    picture = torch.rand(1, 3, 32, 48)
    plain = vae_of("AutoencoderKL")
    found = {"plain": plain.fingerprint}
    rgb = plain.decode_unclamped(plain.encode(picture))
    for change in CHANGES:
        module = model_of("AutoencoderKL")
        change(module)
        changed = Vae.from_module(module, name="mine", device="cpu")
        assert not torch.allclose(changed.decode_unclamped(changed.encode(picture)), rgb, atol=1e-5)
        found[change.__name__] = changed.fingerprint
        again = model_of("AutoencoderKL")
        change(again)
        assert Vae.from_module(again, name="mine", device="cpu").fingerprint == changed.fingerprint
    assert len(set(found.values())) == 1 + len(CHANGES)


def test_ways_to_compute_the_same_attention_keep_the_fingerprint() -> None:
    from diffusers.models.attention_processor import AttnProcessor

    module: Any = model_of("AutoencoderKL")
    plain = Vae.from_module(module, name="mine", device="cpu").fingerprint
    module.set_attn_processor(AttnProcessor())
    assert Vae.from_module(module, name="mine", device="cpu").fingerprint == plain


def test_a_patched_copy_runs_on_the_copys_own_weights() -> None:
    module = model_of("AutoencoderKL")
    patched(module)
    vae = Vae.from_module(module, name="mine", device="cpu")
    for one in vae.network.modules():
        method = vars(one).get("_conv_forward")
        assert method is None or method.__self__ is one
    picture = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        own = module.eval().encode(picture * 2 - 1).latent_dist.mode()
    torch.testing.assert_close(vae.encode(picture), own * 0.18215)


def test_modules_without_a_config_are_looked_at_too() -> None:
    from latentfit.nets import TinyDecoder, TinyEncoder
    from latentfit.vae import TinyNetwork

    def tiny() -> TinyNetwork:
        torch.manual_seed(0)
        return TinyNetwork(TinyEncoder(4), TinyDecoder(4))

    network = tiny()
    circular(network)
    plain, changed = (Vae.from_module(one, name="mine", device="cpu") for one in (tiny(), network))
    assert plain.fingerprint != changed.fingerprint
    assert departures(tiny()) == []


def test_numbers_that_only_the_config_knows_count() -> None:
    first, second = (
        Vae.from_module(
            model_of("AutoencoderTiny", scaling_factor=factor), name="mine", space="sd1", device="cpu"
        ).fingerprint
        for factor in (1.0, 0.5)
    )
    tiny = vae_of("AutoencoderTiny")
    assert tiny.space.normalised_by_vae
    assert tiny.fingerprint == first
    assert vae_of("AutoencoderTiny", scaling_factor=0.5).fingerprint != tiny.fingerprint
    assert second == first  # of a space with numbers of its own, which the store holds beside the fingerprint


def test_plain_autoencoders_keep_the_fingerprints_of_saved_stores() -> None:
    """Over their weights alone, as version 1 wrote them: stores of then still match."""
    import hashlib

    for name in (
        "AutoencoderKL",
        "AutoencoderKLWan",
        "AutoencoderKLFlux2",
        "AutoencoderKLLTX2Video",
        "AutoencoderTiny",
    ):
        digest = hashlib.sha256()
        for key, tensor in sorted(model_of(name).state_dict().items()):
            if tensor.is_floating_point():
                digest.update(f"module.{key}\0{tuple(tensor.shape)}\0".encode() + tensor.numpy().tobytes())
        assert vae_of(name).fingerprint == digest.hexdigest()
    assert Vae.load("mini-sd1", device="cpu").fingerprint == MINI_SD1
