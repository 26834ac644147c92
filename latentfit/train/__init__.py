"""One training loop for every network, from crops of a pair store; a killed run goes on to the same weights.

What may enter: objectives, optimisers, presets, and recipes by kind of network. What may not: networks themselves.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
