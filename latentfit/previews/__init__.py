"""Live previews inside a diffusers pipeline."""

from latentfit.previews.previewer import preview
from latentfit.previews.session import Live
from latentfit.previews.steps import Step

__all__ = ["Live", "Step", "preview"]
