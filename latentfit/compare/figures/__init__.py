"""Every figure by one name: arrays and tables in, pictures out; no state, one style.

What may enter: figures that one call makes again from arrays. What may not: widgets, pages, or decoding.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
