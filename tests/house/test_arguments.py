"""No public call changes what it is given: maps, modules, tensors, lists and mappings are afterwards as before."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import latentfit as lf
from latentfit.autofit import export_all
from latentfit.formats import named_apart
from latentfit.latents import LatentSpace
from latentfit.maps import decode_in_tiles, enlarge, resampling
from latentfit.nets import TinyDecoder, TinyEncoder
from latentfit.palettes import Palette, dither, nearest_of
from latentfit.train import LatentObjective
from latentfit.vae import TinyNetwork
from tests.support import pipelines
from tests.support.fake_vae import FakeVae

NES = Palette.load("nes")
Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


def snapshot(value: Any) -> Any:
    """What can be told of a value, in a form that compares by equality."""
    if isinstance(value, nn.Module):
        told = {
            name: (
                part.training,
                [(key, one.requires_grad, snapshot(one)) for key, one in part.named_parameters(recurse=False)],
                [(key, snapshot(one)) for key, one in part.named_buffers(recurse=False)],
                [len(vars(part)[key]) for key in vars(part) if key.endswith("_hooks")],
            )
            for name, part in value.named_modules()
        }
        return type(value), told, snapshot({key: getattr(value, key, None) for key in ("name", "card", "scale")})
    if isinstance(value, Tensor):
        return value.dtype, tuple(value.shape), value.device, value.detach().cpu().numpy().tobytes()
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tobytes()
    if isinstance(value, Image.Image):
        return value.mode, value.size, value.tobytes()
    if isinstance(value, pd.DataFrame):
        return value.to_csv(), dict(value.attrs)
    if isinstance(value, Mapping):
        return type(value), [(key, snapshot(one)) for key, one in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [snapshot(one) for one in value]
    if isinstance(value, lf.Vae):
        return {key: snapshot(one) for key, one in vars(value).items()}
    if isinstance(value, FakeVae):
        return {key: snapshot(one) for key, one in vars(value).items()}
    if hasattr(value, "components") and isinstance(value.components, dict):
        return [(key, snapshot(part)) for key, part in value.components.items() if isinstance(part, nn.Module)]
    if isinstance(value, lf.PairStore):
        return str(value.path), snapshot(list(value.samples))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return type(value), {one.name: snapshot(getattr(value, one.name)) for one in dataclasses.fields(value)}
    return repr(value)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> lf.PairStore:
    folder = tmp_path_factory.mktemp("arguments")
    rng = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for index in range(6):
        small = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        small.resize((96, 64), Image.Resampling.BICUBIC).save(folder / "photos" / f"{index:02}.png")
    return lf.collect(FakeVae(), folder / "photos", folder / "store", size=64, keep="photo", progress=False)


def table(name: str = "affine", *, intercept: bool = True) -> lf.Approximation:
    generator = torch.Generator().manual_seed(0)
    latents, rgb = torch.randn(4, 4, 8, 8, generator=generator), torch.rand(4, 3, 8, 8, generator=generator)
    return lf.ChannelMap((1,), intercept=intercept).fit_arrays(latents, rgb, space="sd1").approximation(name)


class Layers(nn.Module):
    """A small decoder in training mode, with a layer that works in place first."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(4, 3, 1))

    def forward(self, latents: Tensor) -> Tensor:
        made: Tensor = self.layers(latents)
        return made


def layers(name: str = "layers") -> lf.Approximation:
    return lf.Approximation(Layers().train(), "sd1", name=name, card={"form": "mine", "seen": ["a"]})


def latents(space: str = "sd1", side: int = 8) -> Tensor:
    return torch.randn(1, lf.get_space(space).channels, side, side, generator=torch.Generator().manual_seed(1))


def tiny() -> lf.Vae:
    return lf.Vae.from_module(TinyNetwork(TinyEncoder(4, 4), TinyDecoder(4, 4)), name="mine", space="sd1", device="cpu")


def live(pipe: Any, approximation: lf.Approximation) -> list[Any]:
    given = pipelines.sd()[1] | {"num_inference_steps": 2}
    with lf.preview(pipe, approximation, display="none") as steps:
        pipe(**given)
    return list(steps.states)


def latent_map() -> lf.LatentMap:
    return resampling("bilinear", "sd1", 2)


@pytest.fixture(scope="module")
def calls(store: lf.PairStore, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Call]:
    """Every public call by name, with small arguments; several of one name end in a number."""
    one, out = table(), tmp_path_factory.mktemp("out")
    other = lf.collect(FakeVae(2.0), store.path.parent / "photos", out / "other", size=64, keep="cells", progress=False)
    maps, columns = [table("same"), table("same"), layers()], list(store.samples[:2])
    picture, sd1 = torch.rand(3, 64, 64), lf.get_space("sd1")
    slider = lf.CompareSlider(picture, picture)
    rgb, cells = torch.rand(4, 3, 8, 8), torch.randn(4, 4, 8, 8)
    channel_map = lf.ChannelMap("affine").fit_arrays(cells, rgb, space="sd1")
    saved = lf.save(one, out / "saved.safetensors")
    bench = lf.Workbench(latents=latents(), approximations=[one], space="sd1")
    editor, vae = lf.TableEditor(one, latents=latents(), cells=torch.rand(1, 3, 8, 8)), tiny()
    pipe, _ = pipelines.sd()
    states = live(pipe, one)
    scrubber = lf.StepScrubber(states, [one])
    half, hd = latents(side=9), torch.rand(1, 3, 64, 64)
    upscaler, scored = latent_map(), lf.evaluate({"affine": one}, store)
    learned = lf.Calibration("sd1", path=out / "learned.calibration")
    learned.observe(latents(side=16), torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(2)))
    made: dict[str, Call] = {
        "Approximation": (lf.Approximation, (Layers().train(), sd1), {"card": {"a": [1]}}),
        "Approximation.__call__": (layers().__call__, (latents(),), {}),
        "Approximation.__call__ 2": (lf.Approximation(nn.Identity(), "pixel_rgb"), (latents("pixel_rgb") * 3,), {}),
        "Approximation.__call__ 3": (one, (half.half(),), {}),
        "Approximation.unclamped": (layers().unclamped, (latents(),), {}),
        "Approximation.unclamped 2": (layers().unclamped, (torch.randn(1, 4, 2, 8, 8),), {}),
        "Approximation.indices": (nearest_of(one, NES).indices, (latents(),), {}),
        "Calibration": (lf.Calibration, ("sd1",), {"path": out / "a.calibration", "prior": table()}),
        "Calibration.open": (lf.Calibration.open, (learned.path,), {}),
        "Calibration.observe": (learned.observe, (latents(side=16), torch.rand(1, 3, 16, 16)), {"fingerprint": "a"}),
        "Calibration.approximation": (learned.approximation, (), {}),
        "Calibration.solve": (learned.solve, (), {}),
        "Calibration.gain_over": (learned.gain_over, (table(),), {}),
        "Calibration.merge": (lf.Calibration("sd1").merge, (learned,), {}),
        "Calibration.save": (learned.save, (out / "b.calibration",), {}),
        "Calibration.forget": (lf.Calibration("sd1").forget, (), {}),
        "ChannelMap": (lf.ChannelMap, ("3",), {"weights": {"photo": 2.0}}),
        "ChannelMap.n_terms": (lf.ChannelMap("3").n_terms, (4,), {}),
        "ChannelMap.fit": (lf.ChannelMap("affine").fit, (store,), {"samples": list(store.samples)}),
        "ChannelMap.fit_joined": (lf.ChannelMap("1").fit_joined, (store.join(other), "all"), {}),
        "ChannelMap.fit_arrays": (lf.ChannelMap("3").fit_arrays, (cells, rgb, [0, 1, 2, 3]), {"space": sd1}),
        "ChannelMap.approximation": (channel_map.approximation, ("mine",), {}),
        "ChannelMap.latent_map": (
            lf.ChannelMap("1").fit_arrays(cells, cells, space="sd1", target_space="sd1").latent_map, ("mine",), {},
        ),
        "CompareSlider": (lf.CompareSlider, (picture, Image.new("RGB", (64, 64))), {"labels": ("a", "b")}),
        "CompareSlider.show": (slider.show, (picture.numpy(), None), {}),
        "CompareSlider.still": (slider.still, (), {}),
        "CompareSlider.code": (slider.code, (), {}),
        "CompareSlider.data": (slider.data, (), {}),
        "LatentMap": (lf.LatentMap, (nn.Identity().train(), sd1, sd1), {"card": {"a": [1]}}),
        "LatentMap.__call__": (upscaler, (latents(),), {"size": (11, 12)}),
        "LatentMap.__call__ 2": (lf.LatentMap(nn.ReLU(inplace=True), "sd1", "sd1"), (latents(),), {}),
        "LatentMap.at_scale": (upscaler.at_scale, (1.5,), {}),
        "LatentSpace": (LatentSpace, ("mine", 4, 8), {"shift": (0.0,)}),
        "LatentSpace.to_model": (sd1.to_model, (latents(),), {}),
        "LatentSpace.to_raw": (sd1.to_raw, (latents(),), {}),
        "LatentSpace.comfy_to_model": (lf.get_space("flux2").comfy_to_model, (torch.randn(1, 128, 2, 2),), {}),
        "LatentSpace.model_to_comfy": (lf.get_space("flux2").model_to_comfy, (latents("flux2"),), {}),
        "LatentSpace.check": (sd1.check, (latents(),), {}),
        "LatentSpace.to_dict": (sd1.to_dict, (), {}),
        "LatentSpace.from_dict": (LatentSpace.from_dict, (sd1.to_dict(),), {}),
        "PairStore": (lf.PairStore, (store.path,), {}),
        "PairStore.split": (store.split, ("test",), {}),
        "PairStore.batches": (lambda *given: list(store.batches(*given)), (columns, ["latents", "rgb"]), {}),
        "PairStore.sample": (store.sample, (columns[0].key, ["latents"]), {}),
        "PairStore.join": (store.join, (other,), {}),
        "PairStore.verify": (store.verify, (), {}),
        "StepScrubber": (lf.StepScrubber, (states, {"a": layers()}), {"space": sd1}),
        "StepScrubber.still": (scrubber.still, (0,), {}),
        "StepScrubber.code": (scrubber.code, (), {}),
        "StepScrubber.data": (scrubber.data, (), {}),
        "StepScrubber.wait": (scrubber.wait, (5.0,), {}),
        "TableEditor": (lf.TableEditor, (one,), {"latents": latents(), "cells": torch.rand(1, 3, 8, 8)}),
        "TableEditor.approximation": (editor.approximation, ("edited",), {}),
        "TableEditor.residual": (editor.residual, (), {}),
        "TableEditor.still": (editor.still, (0,), {}),
        "TableEditor.code": (editor.code, (), {}),
        "TableEditor.data": (editor.data, (), {}),
        "Vae": (lf.Vae, (vae.network, vae.crossing, sd1), {"name": "mine", "reference": "mine"}),
        "Vae.load": (lf.Vae.load, ("mini-sd1",), {"space": sd1, "device": "cpu"}),
        "Vae.from_module": (
            lf.Vae.from_module, (TinyNetwork(TinyEncoder(4, 4), TinyDecoder(4, 4)).train(),),
            {"name": "mine", "space": sd1, "device": "cpu", "dtype": "float16"},
        ),
        "Vae.from_module 2": (
            lf.Vae.from_module, (pipelines.tiny_vae(4).train().requires_grad_(True),),
            {"name": "mine", "space": "measured", "device": "cpu"},
        ),
        "Vae.encode": (vae.encode, (hd,), {}),
        "Vae.decode": (vae.decode, (latents(),), {}),
        "Vae.decode_unclamped": (vae.decode_unclamped, (latents(),), {}),
        "Vae.approximation": (vae.approximation, (), {}),
        "Vae.with_space": (vae.with_space, (sd1,), {}),
        "Vae.tiles": (vae.tiles, (), {}),
        "Workbench": (lf.Workbench, ({"a": picture}, {"x": layers()}, vae), {"size_px": 64}),
        "Workbench 2": (lf.Workbench, (), {"latents": {"a": latents()}, "approximations": maps, "space": sd1}),
        "Workbench.show": (bench.show, (0,), {}),
        "Workbench.view": (bench.view, (0,), {}),
        "Workbench.still": (bench.still, (), {}),
        "Workbench.code": (bench.code, (), {}),
        "Workbench.data": (bench.data, ([0.0, 1.0],), {}),
        "Workbench.wait": (bench.wait, (5.0,), {}),
        "audit": (lf.audit, (store, maps), {"references": ["vae"], "places": ["cells"], "with_oracles": False}),
        "chain": (lf.chain, (latent_map(), layers()), {}),
        "collect": (
            lf.collect, (FakeVae(), [store.path.parent / "photos"], out / "more"),
            {"size": 64, "scales": [1], "progress": False},
        ),
        "evaluate": (lf.evaluate, ({"a": layers(), "b": table()}, store), {"samples": columns}),
        "evaluate 2": (lf.evaluate, (maps, store), {"references": ["vae"], "places": ["cells"]}),
        "export": (lf.export, (one, "comfyui", out / "a.py"), {"bias_free": table("free", intercept=False)}),
        "export 2": (lf.export, (layers(), "onnx", out / "a.onnx"), {}),
        "export 3": (lf.export, (one, "json", out / "a.json"), {}),
        "get_space": (lf.get_space, (sd1,), {}),
        "list_spaces": (lf.list_spaces, (), {}),
        "load": (lf.load, (saved, sd1), {}),
        "preview": (live, (pipe, layers()), {}),
        "preview 2": (live, (pipe, {"a": layers(), "b": table()}), {}),
        "report": (lf.report, (store, [table("same"), table("same")], out / "a.html"), {"n_pictures": 1}),
        "report 2": (lf.report, (store, [layers(), saved], out / "b.html"), {"n_pictures": 1}),
        "save": (lf.save, (one, out / "half.safetensors"), {"dtype": torch.float16}),
        "simulate_x0": (lf.simulate_x0, (store, 1.0), {"samples": columns}),
        "latentfit.formats.named_apart": (named_apart, ({Path("a"): table("x"), Path("b"): table("x")},), {}),
        "latentfit.maps.decode_in_tiles": (decode_in_tiles, (layers(), latents()), {}),
        "latentfit.maps.enlarge": (enlarge, (latent_map(), latents(), 4), {}),
        "latentfit.palettes.dither": (dither, (torch.rand(1, 3, 8, 8), NES, "bayer-4"), {}),
        "latentfit.train.LatentObjective": (LatentObjective, ({"decoded_l1": 1.0}, layers()), {}),
        "latentfit.autofit.export_all": (export_all, ({"affine": one}, scored, out / "all"), {}),
    }  # fmt: skip
    return made


def test_every_public_name_is_called_here(calls: dict[str, Call]) -> None:
    wanted = {name for name in lf.__all__ if name != "__version__"}
    for name in list(wanted):
        kind = getattr(lf, name)
        if inspect.isclass(kind):
            inner = {key for key, one in vars(kind).items() if not key.startswith("_")}
            wanted |= {f"{name}.{key}" for key in inner if callable(getattr(kind, key)) and key != "extra_repr"}
    assert wanted - {name.split()[0] for name in calls} == set()


def test_no_public_call_changes_its_arguments(calls: dict[str, Call]) -> None:
    changed = []
    for name, (call, given, named) in calls.items():
        owner = call if isinstance(call, nn.Module) else getattr(call, "__self__", None)
        kept = owner if isinstance(owner, nn.Module | LatentSpace | lf.Vae | lf.PairStore) else None
        before = snapshot((kept, given, named))
        try:
            call(*given, **named)
        except (TypeError, ValueError, RuntimeError) as error:
            raise AssertionError(f"{name}: {error}") from error
        if snapshot((kept, given, named)) != before:
            changed.append(name)
    assert changed == []


def test_a_change_would_be_seen() -> None:
    one = layers()
    changes: list[Callable[[], Any]] = [
        lambda: setattr(one, "name", "other"), one.eval, lambda: one.requires_grad_(False), lambda: one.card.clear(),
        lambda: one.module.layers[1].weight.data.add_(1), one.double,
    ]  # fmt: skip
    for change in changes:
        before = snapshot([{"a": one}])
        change()
        assert snapshot([{"a": one}]) != before
