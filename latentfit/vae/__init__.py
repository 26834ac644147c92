"""The reference autoencoder: what a name, folder or file refers to, its network, its latent space, its checks.

What may enter: all that opens or runs a VAE. What may not: pictures' sources, stores, or anything fitted to a VAE.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
