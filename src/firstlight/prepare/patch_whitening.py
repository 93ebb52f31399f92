"""Filters that whiten the patches of images: what they give is uncorrelated, and of variance one (Page 2018).

With the covariance Σ = V Λ Vᵀ of patches as a convolution sees them, a filter is a column v of V over √(λ + ε), the
largest λ first; each comes with its negative, since a ReLU after it passes one sign alone (Jordan 2024).
"""

from __future__ import annotations

import numpy as np

from firstlight.types import Array, Shape

EPSILON = 5e-4  # Jordan's: of patches that hardly vary, noise is not made as large as the rest
BLOCK = 1 << 18  # numbers of patches that are made together, which a core's second-level cache holds


def whitening_filters(x: Array, kernel: Shape, filters: int, epsilon: float = EPSILON) -> Array:
    """Up to `filters` filters, float64 (n, C, kh, kw), for prepared images x (N, C, H, W): n ≤ 2 C kh kw.

    The mean of the patches is no part of the covariance's sum, as in both sources: images are standardized before.
    """
    kh, kw = kernel
    C, size = x.shape[1], x.shape[1] * kh * kw
    windows = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), axis=(2, 3))  # (N, C, H', W', kh, kw)
    places = windows.shape[2] * windows.shape[3]
    total = np.zeros((size, size))
    step = max(1, BLOCK // (places * size))
    for start in range(0, len(x), step):
        patches = windows[start : start + step].transpose(0, 2, 3, 1, 4, 5).reshape(-1, size).astype(np.float64)
        total += patches.T @ patches
    variances, directions = np.linalg.eigh(total / (len(x) * places))
    largest = directions[:, ::-1].T  # a row each
    peak = np.abs(largest).argmax(axis=1)
    largest = largest * np.sign(largest[np.arange(size), peak])[:, None]  # LAPACK leaves the sign open
    scaled = largest / np.sqrt(np.maximum(variances[::-1], 0) + epsilon)[:, None]
    half = min(size, (filters + 1) // 2)
    return np.concatenate([scaled[:half], -scaled[:half]])[:filters].reshape(-1, C, kh, kw)
