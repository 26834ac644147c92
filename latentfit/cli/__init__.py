"""The command line: one file a family of commands, flags straight from the functions' parameters.

What may enter: words for people at a terminal. What may not: work that the library could not do without it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
