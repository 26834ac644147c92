"""Previews that learn: a map grows from the pairs that every generation leaves, a latent and its full decode.

What may enter: what takes pairs one by one into bounded sums, keeps them in one file, and solves them towards what is
known already. What may not: pipelines and nodes, which watch decodes and call this (see `previews` and `comfyui`).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
