"""How far two pictures are apart: PSNR and SSIM, from their pixels."""

import io

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image

SAME_DECIBELS = 99.0
"""What identical pictures are given, whose ratio has no bound."""

_WINDOW = 7
_STRIDE = 2


def pixels_of(body: bytes) -> NDArray[np.uint8]:
    """The pixels of a file that we wrote: (height, width, 3)."""
    with Image.open(io.BytesIO(body)) as image:
        return np.asarray(image.convert("RGB"))


def psnr(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio, decibels; from about 40 on nobody sees the difference."""
    error = float(((first.astype(np.float64) - second) ** 2).mean())
    return SAME_DECIBELS if error == 0 else min(SAME_DECIBELS, float(10 * np.log10(255**2 / error)))


def ssim(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Structural similarity of the luma, from -1 to 1; 1 for identical pictures.

    Source: Wang et al., "Image quality assessment", IEEE TIP 13 (2004), with uniform windows of 7x7 pixels.
    """
    one, two = _windows(first), _windows(second)
    mean_one, mean_two = one.mean((-1, -2)), two.mean((-1, -2))
    spread = (one * two).mean((-1, -2)) - mean_one * mean_two
    power = one.var((-1, -2)) + two.var((-1, -2))
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    near = (2 * mean_one * mean_two + c1) * (2 * spread + c2)
    return float((near / ((mean_one**2 + mean_two**2 + c1) * (power + c2))).mean())


def _windows(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """All windows of the luma (ITU-R BT.601), every other row and column of them."""
    luma = picture.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    size = min(_WINDOW, *luma.shape)
    windows: NDArray[np.float64] = sliding_window_view(luma, (size, size))[::_STRIDE, ::_STRIDE]
    return windows
