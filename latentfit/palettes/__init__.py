"""Palettes: colours whose order is the class, their files, pictures reduced to them, decoders that give classes.

What may enter: anything about indexed colour. What may not: training (see `train`) and scores (see `scores`).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
