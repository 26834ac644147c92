"""The two contracts, Approximation and LatentMap, and what runs them: factors, tiles, resampling, enlargement.

What may enter: what holds for every map, however it was made. What may not: how a map is fitted, trained or saved.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
