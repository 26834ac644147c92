"""SwinFIR's convolutions of a picture and of its spectrum."""

import torch
from torch import Tensor, nn

from latentfit.nets.tiny import conv3

LEAK = 0.2


class SpatialAndFourier(nn.Module):
    """``fusion(S(x), F(x))``: what a neighbourhood tells, and what the whole picture's spectrum does."""

    def __init__(self, width: int) -> None:
        super().__init__()
        near = nn.Sequential(conv3(width, width), nn.LeakyReLU(LEAK), conv3(width, width))
        self.S = nn.ModuleDict({"body": near})
        self.F = _Fourier(width)
        self.fusion = nn.Conv2d(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        near = self.S["body"](x) + x
        fused: Tensor = self.fusion(torch.cat([near, self.F(x)], 1))
        return fused


class _Fourier(nn.Module):
    """Half of the channels, and what a pointwise layer makes of their spectrum, added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(width, width // 2, 1), nn.LeakyReLU(LEAK))
        self.fu = _FourierUnit(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        half = self.conv1(x)
        seen: Tensor = self.conv2(half + self.fu(half))
        return seen


class _FourierUnit(nn.Module):
    """Real and imaginary parts of each channel's spectrum, one after the other, through a pointwise layer and back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_layer = nn.Conv2d(2 * width, 2 * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        # half precision has no transform for most sizes
        spectrum = torch.view_as_real(torch.fft.rfft2(x.float(), norm="ortho"))
        parts = spectrum.movedim(-1, 2).flatten(1, 2).to(x.dtype)
        parts = nn.functional.leaky_relu(self.conv_layer(parts), LEAK)
        made = parts.reshape(len(x), -1, 2, *parts.shape[2:]).movedim(2, -1).float().contiguous()
        seen: Tensor = torch.fft.irfft2(torch.view_as_complex(made), s=x.shape[-2:], norm="ortho")
        return seen.to(x.dtype)
