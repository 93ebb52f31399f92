"""Focal loss: cross-entropy in which what is known already counts little.

Derivation

    p = softmax(y)
    h(z) = −(1 − z)^γ log z               the loss of a class of probability z
    h′(z) = γ (1 − z)^(γ − 1) log z − (1 − z)^γ / z   the rule for products
    L = −Σₖ tₖ (1 − pₖ)^γ log pₖ = Σₖ tₖ h(pₖ)
    ∂pₖ/∂yⱼ = pₖ (δₖⱼ − pⱼ)               as of Softmax; δₖⱼ is 1 where k = j, else 0
    gₖ = tₖ (1 − pₖ)^γ (γ pₖ log pₖ / (1 − pₖ) − 1) = tₖ pₖ h′(pₖ)
    ∂L/∂yⱼ = Σₖ tₖ h′(pₖ) · ∂pₖ/∂yⱼ       the chain rule
      = Σₖ gₖ (δₖⱼ − pⱼ)
      = gⱼ − pⱼ Σₖ gₖ
    dyⱼ = 1/N · ∂L/∂yⱼ = (gⱼ − pⱼ Σₖ gₖ) / N   the mean over the N images of a batch

With γ = 0, gₖ = −tₖ and this is the gradient of cross-entropy.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Le

from firstlight.layers import Layer, Softmax
from firstlight.losses.base import LOSSES, Loss
from firstlight.losses.probabilities import log_softmax, rows, softmax
from firstlight.losses.targets import columns, twin_targets
from firstlight.types import Array


@LOSSES.register
class Focal(Loss):
    """L = −Σₖ tₖ (1 − pₖ)^γ log pₖ with p = softmax(y): the less a sample counts, the surer the net is of its class

    Lin, Goyal, Girshick, He and Dollár (2017), "Focal loss for dense object detection", eq. 4, of K classes instead of
    two; its α are loss.class_weights. dyⱼ = (gⱼ − pⱼ Σₖ gₖ) / N, with gₖ = tₖ (1 − pₖ)^γ (γ pₖ log pₖ / (1 − pₖ) − 1).

    gamma  γ, from 0: how much less; with 0 this is cross-entropy
    """

    gamma: Annotated[float, Ge(0), Le(10)] = 2.0

    fuses: ClassVar[type[Layer] | None] = Softmax

    def values(self, y: Array, targets: Array) -> Array:
        log_p = log_softmax(y)
        return -(columns(targets, y) * _others(log_p) ** self.gamma * log_p).sum(axis=0)

    def gradient(self, y: Array, targets: Array) -> Array:
        log_p = log_softmax(y)
        p, q = np.exp(log_p), _others(log_p)
        # log p / (1 − p) goes to −1 as p goes to 1.
        ratio = np.divide(log_p, q, out=np.full_like(q, -1), where=q > 0)
        g = columns(targets, y) * q**self.gamma * (self.gamma * p * ratio - 1)
        return (g - softmax(y) * g.sum(axis=0)) / y.shape[1]

    def twin(self, torch: Any, y: Any, targets: Any) -> Any:
        log_p = torch.log_softmax(y, 1)
        # Not zero, for the slope of a root is infinite there, and a NaN for autograd.
        q = (-torch.expm1(log_p)).clamp_min(torch.finfo(y.dtype).tiny)
        return -(twin_targets(torch, targets, y) * q**self.gamma * log_p).sum(dim=1)

    def probabilities(self, y: Array) -> Array:
        return rows(softmax(y))


def _others(log_p: Array) -> Array:
    """1 − p, exact where p is nearly one."""
    return -np.expm1(log_p)
