"""Pictures: where they come from, from their bytes to upright sRGB, colour spaces and differences, drawn charts.

What may enter: anything about pictures alone. What may not: latents, VAEs, or scores that compare a map with a VAE.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
