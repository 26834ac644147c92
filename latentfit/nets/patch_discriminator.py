"""A patch discriminator with spectral norms: real or made, a verdict for every patch of 50 px or cells."""

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

SIDE, GAIN = 5, 8.0  # of the local mean that is taken off; what is left is small


def _conv(n_in: int, n_out: int, side: int, stride: int) -> nn.Module:
    module: nn.Module = spectral_norm(nn.Conv2d(n_in, n_out, side, stride=stride, padding=side // 2))
    return module


class PatchDiscriminator(nn.Module):
    """Pictures ``(N, c, H, W)`` -> verdicts ``(N, 1, H / 8, W / 8)``, and the features on the way.

    It sees what a 5×5 mean leaves, enlarged: colours and shapes are the pixel losses' business, and blur, which is what
    it is there to find, stands out at once; spectral norms would otherwise hold verdicts on so faint a thing near zero.

    Parameters
    ----------
    n_channels : int
        c: 3 for rgb.
    width : int
        Channels of the first level; twice as many at each next one.
    sees_detail : bool
        Give it detail apart, as said above; False: the input as it is, for latents, whose every cell is detail.
    """

    def __init__(self, n_channels: int = 3, width: int = 32, *, sees_detail: bool = True) -> None:
        super().__init__()
        self.sees_detail = sees_detail
        self.levels = nn.ModuleList(
            [
                _conv(n_channels, width, 3, 1),
                _conv(width, width, 4, 2),
                _conv(width, 2 * width, 4, 2),
                _conv(2 * width, 4 * width, 4, 2),
            ]
        )
        self.verdict = _conv(4 * width, 1, 3, 1)

    def features(self, picture: Tensor) -> list[Tensor]:
        """Activations of each level, the verdicts last."""
        found = []
        if self.sees_detail:
            mean = nn.functional.avg_pool2d(picture, SIDE, 1, SIDE // 2, count_include_pad=False)
            picture = GAIN * (picture - mean)
        for level in self.levels:
            picture = nn.functional.leaky_relu(level(picture), 0.2)
            found.append(picture)
        return [*found, self.verdict(picture)]

    def forward(self, picture: Tensor) -> Tensor:
        return self.features(picture)[-1]
