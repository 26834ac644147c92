"""What every room stands on: whole-file writes, bundled data, weights read without code, devices, threads, ranks.

What may enter: how the machine, its disk and its processes are used. What may not: pictures, latents, networks, or
anything that knows what the files mean. Importing this room imports no torch until a name that needs it is used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
