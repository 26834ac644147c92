"""Reports: self-contained HTML pages, their charts, sections and embedded widgets.

What may enter: parts of a page. What may not: numbers that are computed for the page alone.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
