"""Live previews inside a diffusers pipeline."""

from latentfit.live.previews import preview
from latentfit.live.session import Live

__all__ = ["Live", "preview"]
