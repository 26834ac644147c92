"""Palettes: the bundled ones, every file format there and back, what is no palette, nearest colours, indexed PNGs."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from latentfit.errors import PaletteError
from latentfit.images import nearest_rows, oklab_to_rgb, rgb_to_oklab
from latentfit.palettes import Palette, bundled_palettes, mean_colours
from tests.support.paths import GOLDEN as GOLDEN_FOLDER

PIXELVAE = json.loads((GOLDEN_FOLDER / "pixelvae_palettes.json").read_text("utf-8"))


def palette_of(text: str) -> Palette:
    return Palette.from_dict({"colours": text.split()})


def png(pixels: np.ndarray, mode: str | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(pixels) if mode != "P" else Image.frombytes("P", pixels.shape[::-1], pixels.tobytes())
    if mode == "P":
        image.putpalette(options.pop("palette"))
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def test_bundled_palettes_equal_pixelvaes_in_order() -> None:
    assert set(PIXELVAE) <= set(bundled_palettes())
    for name, text in PIXELVAE.items():
        assert Palette.load(name).hex == [f"#{colour}" for colour in text.split()], name


def test_bundled_palettes_say_where_they_come_from() -> None:
    sizes = {name: len(Palette.load(name)) for name in bundled_palettes()}
    expected = {"ega16": 16, "nes": 55, "cga": 4, "zx-spectrum": 15, "apple-ii": 15, "web-safe": 216, "sweetie-16": 16}
    assert expected.items() <= sizes.items()
    for name in bundled_palettes():
        palette = Palette.load(name.upper())
        assert (palette.name, bool(palette.source)) == (name, True)


def test_pixelvaes_own_strips_are_read_in_their_order(assets: Path) -> None:
    strips = sorted((assets / "weights" / "pixelvae" / "palettes").glob("*.png"))
    assert len(strips) == 4
    for strip in strips:
        assert Palette.load(strip).hex == Palette.load(strip.stem).hex


@pytest.mark.parametrize("ending", [".hex", ".txt", ".gpl", ".png"])
@pytest.mark.parametrize("name", ["pico-8", "1-bit", "nes", "atari-8-bit"])
def test_every_format_gives_the_colours_back(tmp_path: Path, ending: str, name: str) -> None:
    palette = Palette.load(name)
    path = palette.save(tmp_path / f"mine{ending}")
    again = Palette.load(path)
    assert torch.equal(again.colours, palette.colours)
    assert (again.name, again.source) == ("mine", f"mine{ending}" if ending == ".png" else palette.source)


@settings(max_examples=30, deadline=None)
@given(codes=st.lists(st.integers(0, 2**24 - 1), min_size=2, max_size=256, unique=True))
def test_any_palette_survives_its_dict_and_its_nearest(codes: list[int]) -> None:
    levels = torch.tensor([[code >> 16, code >> 8 & 255, code & 255] for code in codes], dtype=torch.uint8)
    palette = Palette(levels, "any", "nowhere")
    again = Palette.from_dict(json.loads(json.dumps(palette.to_dict())))
    assert torch.equal(again.colours, levels)
    assert (again.name, again.source) == ("any", "nowhere")
    assert palette.nearest(palette.rgb.T[None])[0].tolist() == list(range(len(codes)))


def test_names_and_endings_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(PaletteError, match=r"did you mean 'pico-8'\? Bundled: 1-bit, "):
        Palette.load("pico8")
    with pytest.raises(PaletteError, match=r"mine\.hex: cannot be read"):
        Palette.load(tmp_path / "mine.hex")
    (tmp_path / "mine.xyz").write_bytes(b"\0" * 768)
    with pytest.raises(PaletteError, match=r"expected a palette in \.hex, .*\.png, got \.xyz"):
        Palette.load(tmp_path / "mine.xyz")
    with pytest.raises(PaletteError, match=r"mine\.bmp: expected \.hex"):
        Palette.load("1-bit").save(tmp_path / "mine.bmp")
    assert not (tmp_path / "mine.bmp").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no colour"),
        ("; only\n; comments\n\n", "lists no colour"),
        ("000000\n", "expected 2 to 256 colours, got 1"),
        ("\n".join(f"{i:06x}" for i in range(257)), "expected 2 to 256 colours, got 257"),
        ("000000\nffffff\n000000\n", "#000000 stands there twice, at 0 and 2"),
        ("000000\nff00ff80\n", "line 2: .*eight digits carry alpha"),
        ("000000\nred\n", "line 2: expected RRGGBB, got 'red'"),
        ("000000 ffffff\n", "line 1: expected RRGGBB"),
        ("0" * (1 << 21), "at most 256 colours"),
    ],
)
def test_broken_hex_lists(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.hex"
    path.write_text(text)
    with pytest.raises(PaletteError, match=rf"mine\.hex.*{message}"):
        Palette.load(path)


def test_paint_net_lists_carry_an_opaque_alpha_in_front(tmp_path: Path) -> None:
    path = tmp_path / "pn.txt"
    path.write_text(";paint.net Palette File\n;Colors: 2\nFF1d2b53\nFFff004d\n")
    assert Palette.load(path).hex == ["#1d2b53", "#ff004d"]
    path.write_text("; paint.net Palette File\n801d2b53\nFFff004d\n")
    with pytest.raises(PaletteError, match=r"line 2: .*eight digits carry alpha"):
        Palette.load(path)


def test_hex_lists_as_people_write_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_bytes(b"\xef\xbb\xbf; Name: Mine\r\n;source: my head\r\n\r\n#1D2B53 ; blue\r\n  ffccaa\r\n")
    palette = Palette.load(path)
    assert (palette.hex, palette.name, palette.source) == (["#1d2b53", "#ffccaa"], "mine", "my head")
    path.write_bytes(b"\xff\xfe0\x000\x00")
    with pytest.raises(PaletteError, match="expected text, in UTF-8 or Latin-1"):
        Palette.load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a first line 'GIMP Palette', got an empty file"),
        ("JASC-PAL\n0100\n", "JASC's palette, but its third line is not the number"),
        ("GIMP Palette\nName: x\n#\n", "lists no colour"),
        ("GIMP Palette\n0 0 0\n0 0 256\tblue\n", "line 3: expected three levels of 0 to 255"),
        ("GIMP Palette\n0 0 0\n1 2\n", "line 3: expected three levels"),
        ("GIMP Palette\n0 0 0 black\n", "got 1"),
        ("GIMP Palette\n0 0 0 black\n0 0 0 too\n", "stands there twice"),
    ],
)
def test_broken_gimp_palettes(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.gpl"
    path.write_text(text)
    with pytest.raises(PaletteError, match=rf"mine\.gpl.*{message}"):
        Palette.load(path)


def test_gimp_palettes_as_gimp_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.gpl"
    path.write_text("GIMP Palette\nName: Mine\nColumns: 2\n# a word\n  0   0   0\tBlack\n255 163   0\n\n")
    assert Palette.load(path).hex == ["#000000", "#ffa300"]


SWATCHES = np.array([[9, 9, 9], [200, 0, 0], [0, 0, 255]], np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("pixels", "mode"),
    [
        (SWATCHES[None], "RGB"),
        (SWATCHES[:, None], "RGB"),
        (SWATCHES[None].repeat(8, 0).repeat(8, 1), "RGB"),
        (np.concatenate([SWATCHES, np.full((3, 1), 255, np.uint8)], 1)[None], "RGBA"),
    ],
)
def test_strips_of_true_colours_are_read_in_first_seen_order(tmp_path: Path, pixels: np.ndarray, mode: str) -> None:
    (tmp_path / "strip.png").write_bytes(png(pixels))
    with Image.open(tmp_path / "strip.png") as image:
        assert image.mode == mode
    assert Palette.load(tmp_path / "strip.png").hex == ["#090909", "#c80000", "#0000ff"]


def test_an_indexed_strip_is_read_by_first_use(tmp_path: Path) -> None:
    chunk = bytes([1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4])
    (tmp_path / "a.png").write_bytes(png(np.array([[3, 0, 3, 2]], np.uint8), "P", palette=chunk))
    assert Palette.load(tmp_path / "a.png").hex == ["#040404", "#010101", "#030303"]
    twice = bytes([1, 1, 1, 2, 2, 2, 1, 1, 1])
    (tmp_path / "b.png").write_bytes(png(np.array([[0, 1, 2]], np.uint8), "P", palette=twice))
    with pytest.raises(PaletteError, match=r"b\.png: .*#010101 stands there twice, at 0 and 2"):
        Palette.load(tmp_path / "b.png")


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (png(NOISE), "true-colour picture of 4096 colours, not a palette.*Palette.of_pictures"),
        (png(NOISE[..., 0]), "is no single swatch.*Palette.of_pictures"),
        (png(np.array([[[0, 0, 0], [9, 9, 9], [0, 0, 0]]], np.uint8)), "#000000 is no single swatch"),
        (png(np.array([[[0, 0, 0, 255], [9, 9, 9, 254]]], np.uint8)), "transparent pixels"),
        (png(np.array([[0, 1]], np.uint8), "P", palette=bytes(range(6)), transparency=1), "transparent pixels"),
        (png(np.array([[0, 65535]], np.uint16)), "expected 8 bits a channel"),
        (png(np.zeros((4, 4, 3), np.uint8)), "expected 2 to 256 colours, got 1"),
        (png(NOISE)[:90], "damaged PNG"),
        (b"no picture", "its content is no PNG"),
        (b"", "its content is no PNG"),
    ],
)
def test_pictures_that_are_no_palettes(tmp_path: Path, blob: bytes, message: str) -> None:
    (tmp_path / "bad.png").write_bytes(blob)
    with pytest.raises(PaletteError, match=rf"bad\.png: .*{message}"):
        Palette.load(tmp_path / "bad.png")


@pytest.mark.parametrize(
    ("colours", "message"),
    [
        (torch.zeros(2, 4, dtype=torch.uint8), "a fourth channel; leave it out: palettes are opaque"),
        (torch.zeros(2, 3), r"uint8 \(K, 3\), got torch.float32"),
        (torch.zeros(3, dtype=torch.uint8), r"uint8 \(K, 3\)"),
        ([[0, 0, 0]], "got list"),
    ],
)
def test_tensors_that_are_no_palettes(colours: torch.Tensor, message: str) -> None:
    with pytest.raises(PaletteError, match=message):
        Palette(colours)


@pytest.mark.parametrize("colours", [None, "000000", ["#000000", 3], ["#000000", "#12345"]])
def test_dicts_that_are_no_palettes(colours: object) -> None:
    with pytest.raises(PaletteError, match="expected"):
        Palette.from_dict({"colours": colours})


def test_a_palette_does_not_follow_the_tensor_it_was_made_of() -> None:
    colours = torch.tensor([[0, 0, 0], [9, 9, 9]], dtype=torch.uint8)
    palette = Palette(colours)
    colours += 1
    assert palette.hex == ["#000000", "#090909"]


@pytest.mark.parametrize("name", ["ega16", "nes", "atari-8-bit"])
def test_nearest_is_the_brute_force_one_in_oklab(name: str) -> None:
    palette, rgb = Palette.load(name), torch.rand(2, 3, 9, 7)
    colours = rgb_to_oklab(palette.colours.double().div(255).T[None])[0].T.numpy()
    pixels = rgb_to_oklab(rgb.double()).movedim(1, -1).numpy()
    found = palette.nearest(rgb).numpy()
    assert found.shape == (2, 9, 7)
    for place in np.ndindex(found.shape):
        distances = np.linalg.norm(colours - pixels[place], axis=1)
        assert distances[found[place]] <= distances.min() + 1e-6


def test_nearest_does_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, colours = torch.randn(501, 3), torch.randn(17, 3)
    whole = nearest_rows(rows, colours)
    monkeypatch.setattr("latentfit.images.colour._CHUNK_DISTANCES", 40)
    assert torch.equal(nearest_rows(rows, colours), whole)
    assert nearest_rows(torch.zeros(1, 3), torch.tensor([[1.0, 0, 0], [0, 1, 0]])).item() == 0


def test_nearest_clamps_and_refuses() -> None:
    palette = Palette.load("1-bit")
    assert palette.nearest(torch.tensor([[-3.0, -3, -3], [7, 7, 7]])).tolist() == [0, 1]
    with pytest.raises(PaletteError, match="expected rgb as float"):
        palette.nearest(torch.zeros(1, 4, 2, 2))
    with pytest.raises(PaletteError, match="expected rgb as float"):
        palette.nearest(torch.zeros(1, 3, 2, 2, dtype=torch.uint8))


def test_pictures_and_indices_are_inverse() -> None:
    palette = Palette.load("nes")
    indices = torch.randint(0, 55, (2, 5, 4))
    assert torch.equal(palette.nearest(palette.picture(indices)), indices)
    assert palette.picture(indices[0]).shape == (3, 5, 4)


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        (torch.tensor([[0, 16]]), "expected indices of 0 to 15, got 0 to 16"),
        (torch.tensor([[-1, 3]]), "got -1 to 3"),
        (torch.rand(2, 2), "expected indices as integers"),
        (torch.ones(2, 2, dtype=torch.bool), "expected indices as integers"),
    ],
)
def test_indices_of_another_palette(indices: torch.Tensor, message: str) -> None:
    palette = Palette.load("pico-8")
    for use in (palette.picture, palette.indexed_png):
        with pytest.raises(PaletteError, match=message):
            use(indices)


@pytest.mark.parametrize("name", ["1-bit", "cga", "slso8", "ega16", "nes", "atari-8-bit"])
def test_an_indexed_png_holds_classes_and_just_the_palette(name: str) -> None:
    palette = Palette.load(name)
    indices = torch.randint(0, len(palette), (6, 9), dtype=torch.uint8)
    image = Image.open(io.BytesIO(palette.indexed_png(indices)))
    assert (image.mode, image.size) == ("P", (9, 6))
    assert np.array_equal(np.asarray(image), indices.numpy())
    assert image.getpalette() == palette.colours.flatten().tolist()
    large = Image.open(io.BytesIO(palette.indexed_png(indices.long(), enlarge=3)))
    assert np.array_equal(np.asarray(large), indices.numpy().repeat(3, 0).repeat(3, 1))


def test_indexed_pngs_of_wrong_shapes() -> None:
    palette = Palette.load("1-bit")
    for indices in (torch.zeros(1, 2, 2, dtype=torch.uint8), torch.zeros(0, 2, dtype=torch.uint8)):
        with pytest.raises(PaletteError, match=r"expected indices \(h, w\)"):
            palette.indexed_png(indices)
    with pytest.raises(PaletteError, match="enlarge at least once"):
        palette.indexed_png(torch.zeros(2, 2, dtype=torch.uint8), enlarge=0)


def test_of_pictures_finds_the_colours_that_are_there() -> None:
    known = Palette.load("slso8")
    pictures = [known.picture(torch.randint(0, 8, (20, 30))), known.picture(torch.randint(0, 8, (2, 7, 5)))]
    found = Palette.of_pictures(pictures, 8)
    assert set(found.hex) == set(known.hex)
    lightness = found.oklab[:, 0]
    assert (lightness.diff() >= 0).all()
    assert "of 3 pictures, seed 0" in found.source


def test_of_pictures_is_deterministic_and_better_with_more_colours() -> None:
    rgb = oklab_to_rgb(torch.cat([torch.rand(1, 1, 40, 40), 0.1 * torch.randn(1, 2, 40, 40)], 1)).clamp(0, 1)
    first, again, more = (Palette.of_pictures(rgb, n, seed=3) for n in (6, 6, 12))
    assert first.hex == again.hex
    errors = [(p.picture(p.nearest(rgb)) - rgb).square().mean() for p in (first, more)]
    assert errors[1] < 0.7 * errors[0]


class TwiceTheSame:
    """A k-means whose first two centres round to one colour."""

    def __init__(self, n_clusters: int, **_: object) -> None:
        self.n_clusters = n_clusters

    def fit(self, rows: np.ndarray, sample_weight: np.ndarray) -> "TwiceTheSame":
        self.cluster_centers_ = np.concatenate([rows[:1], rows[:1] + 1e-9, rows[1 : self.n_clusters - 1]])
        return self


def test_two_means_that_round_to_one_colour_make_room_for_the_worst_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sklearn.cluster.KMeans", TwiceTheSame)
    colours = torch.tensor([[0, 0, 0], [40, 40, 40], [50, 50, 50], [255, 0, 0]], dtype=torch.uint8)
    found = mean_colours(colours, torch.ones(4, dtype=torch.float64), 3, seed=0)
    assert sorted(found.tolist()) == [[0, 0, 0], [40, 40, 40], [255, 0, 0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Palette.of_pictures(torch.rand(3, 8, 8), 1), "expected 2 to 256 colours, got 1"),
        (lambda: Palette.of_pictures(torch.rand(3, 8, 8), 257), "got 257"),
        (lambda: Palette.of_pictures(torch.zeros(3, 8, 8), 4), "at least 4 distinct colours .* got 1"),
        (lambda: Palette.of_pictures([], 4), "at least one picture"),
        (lambda: Palette.of_pictures(torch.full((3, 2, 2), float("nan")), 2), "finite"),
        (lambda: Palette.of_pictures(torch.zeros(4, 8, 8), 4), r"expected \(3, H, W\)"),
    ],
)
def test_pictures_that_give_no_palette(make: Callable[[], Palette], message: str) -> None:
    with pytest.raises(PaletteError, match=message):
        make()
