"""The whole road in one command: collect, fit every form, score, export, and the page that shows it.

What may enter: the plan, its steps and its page. What may not: anything that one step alone could offer.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
