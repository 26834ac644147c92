"""Networks, one screen each, and how each is recognised by its keys and built from its weights.

What may enter: `nn.Module`s whose key names are those of the checkpoints that load into them. What may not: files,
devices, training, or a promise about shapes and ranges, which the wrappers of `maps` make.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
