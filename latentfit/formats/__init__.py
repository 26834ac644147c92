"""Files of maps: our own, those of other projects recognised by their keys, and the formats of programs.

What may enter: reading and writing maps. A program that runs our maps is one file in `programs/`. What may not: how a
map is fitted, trained or scored.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
