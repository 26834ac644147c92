"""One file a program that runs our maps: its name, its ending, how to use the file, its writer and its reader.

What may enter: a program, registered in `PROGRAMS`. What may not: anything a second program needs and `common` lacks.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
