"""Live previews inside a diffusers pipeline: the predicted x0 of every step, rendered, shown, and recorded.

What may enter: what reads a pipeline's steps or shows them. What may not: ComfyUI (see `comfyui`).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
