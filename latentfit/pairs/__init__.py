"""Pairs of latents and pictures: the store, its shards, and the collection that fills it and goes on when killed.

What may enter: how pairs are made, kept, joined and split. What may not: what is fitted or trained on them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
