"""One file a program that runs our maps: name, title, ending, how to use the file, writer and reader, as a `Program`.

What may enter: a file that defines `PROGRAM`; `PROGRAMS` finds it, and lists, help and docs follow. What may not: a
program that imports another one; what several share stands in `common` and in the modules of literals.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
