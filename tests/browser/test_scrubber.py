"""StepScrubber in a real JupyterLab: each step is decoded, and fifty quick ones end on the last."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import latentfit as lf
from latentfit.scores import as_seen
from tests.support.browser import SETUP, Watched
from tests.support.jupyter import Lab
from tests.support.seen import eventually, fits_the_page, levels, pane_difference, ready, state

SCRUBBER = ".lf-scrubber"


@pytest.mark.parametrize(("space", "channels"), [("sd1", 4), ("flux1", 16)])
def test_each_step_and_fifty_quick_ones(
    space: str, channels: int, lab: Lab, open_notebook: Callable[..., Watched], shots: Path
) -> None:
    arrays = (torch.randn(4, channels, 8, 8), torch.rand(4, 3, 8, 8))
    one = lf.ChannelMap("affine").fit_arrays(*arrays, space=space).approximation()
    lf.save(one, lab.folder / f"scrub_{space}.safetensors")
    states = torch.randn(12, channels, 8, 12)
    torch.save(states, lab.folder / f"states_{space}.pt")
    setup = f"""
from types import SimpleNamespace
kept = torch.load("states_{space}.pt", weights_only=True)
states = [SimpleNamespace(index=i, timestep=999.0 - 80 * i, sigma=12.0 - i, latents=one[None], ms=1.5)
          for i, one in enumerate(kept)]
table = lf.load("scrub_{space}.safetensors")
"""
    code = f'scrubber = lf.StepScrubber(states, [table], lf.Vae.load("mini-{space}"))\nscrubber'
    watched = open_notebook(f"scrubber_{space}", SETUP + setup, code)
    page = watched.page
    ready(page, SCRUBBER)
    vae = lf.Vae.load(f"mini-{space}")

    def off(at: int) -> int:
        latents = states[at][None]
        full = vae.decode(latents)[0]
        pictures = (as_seen(one(latents), tuple(full.shape[-2:]))[0], full)
        return max(
            int(pane_difference(page, SCRUBBER, levels(picture), levels(picture), nth).max())
            for nth, picture in enumerate(pictures)
        )

    assert eventually(lambda: off(11), 1) <= 1
    page.screenshot(path=shots / f"lab_scrubber_{space}.png")
    slider = page.locator(SCRUBBER).get_by_label("Step", exact=True)
    slider.focus()
    page.keyboard.press("Home")
    assert eventually(lambda: off(0), 1) <= 1
    page.keyboard.press("ArrowRight")
    assert state(page, SCRUBBER)["position"] == 1
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    places = np.random.default_rng(3).integers(0, 12, 50)
    page.mouse.move(box["x"] + 8, box["y"] + box["height"] / 2)
    page.mouse.down()
    for place in places:
        page.mouse.move(box["x"] + 8 + place / 11 * (box["width"] - 16), box["y"] + box["height"] / 2)
    page.mouse.up()
    assert state(page, SCRUBBER)["position"] == places[-1]
    assert eventually(lambda: off(int(places[-1])), 1) <= 1
    assert fits_the_page(page, SCRUBBER)
    assert watched.errors == []
    lab.close_kernels()
