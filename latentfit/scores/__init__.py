"""Every map measured against the true VAE: errors, spectra, costs, audits of published tables, held-out rules.

What may enter: numbers about maps, as tables. What may not: pictures drawn of them (see `compare`) or file formats.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
