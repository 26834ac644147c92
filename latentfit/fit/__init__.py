"""Maps in closed form: the basis, its moments, the solver with its evidence, and the estimators over them.

What may enter: least squares and what it needs. What may not: networks that are trained, scores, or file formats.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
