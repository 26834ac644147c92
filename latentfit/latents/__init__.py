"""Latents: the registry of latent spaces, the crossings between raw and model domain, and the files others save.

What may enter: what a latent's numbers mean, and reading and writing them. What may not: anything that maps them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
