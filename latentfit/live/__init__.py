"""Live previews inside a diffusers pipeline."""

from latentfit.live.previews import preview
from latentfit.live.session import Live
from latentfit.live.states import Step

__all__ = ["Live", "Step", "preview"]
