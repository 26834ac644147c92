"""resampling(): the incumbents as maps: latents of a space at another size, as ComfyUI's upscale nodes make them."""

from latentfit.latents.spaces import LatentSpace, get_space
from latentfit.maps.contracts import LatentMap
from latentfit.maps.scales import AtScale, Scale
from latentfit.nets.model_domain import ModelDomain
from latentfit.nets.resampling import Method, Resampling


def resampling(method: Method, space: LatentSpace | str, scale: Scale = 2) -> LatentMap:
    """A map of any factor, on raw latents as ComfyUI does it; `LatentMap.at_scale` gives other factors.

    Parameters
    ----------
    method : {"nearest", "bilinear", "bicubic", "bislerp"}
    space : LatentSpace or str
    scale : int, float, Fraction or str
        Target cells per source cell.

    Examples
    --------
    >>> import torch
    >>> larger = resampling("bicubic", "sd1", 1.5)
    >>> larger(torch.zeros(1, 4, 8, 10)).shape
    torch.Size([1, 4, 12, 15])
    """
    here = get_space(space)
    network = ModelDomain.of_raw(Resampling(method), here)
    return LatentMap(AtScale(network, scale), here, here, scale, name=f"{method} on latents").eval()
