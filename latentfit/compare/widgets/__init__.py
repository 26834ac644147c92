"""The widgets: thin shells over what draws, decodes and fits without a page.

What may enter: state, messages and the page side of a widget. What may not: numbers that no figure can show.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
