"""How the variables of a map follow its gradient; each map has its own state."""

from dataclasses import dataclass
from typing import ClassVar

import tensorflow as tf

from helpers.maps.parts import Part

EPSILON = 1e-7

Slots = tuple[tf.Tensor, ...]
"""What an optimizer remembers of each map, the maps as first axis."""


@dataclass(frozen=True)
class Optimizer(Part):
    """Base of all optimizers.

    `keeps_best` says which image is the map: the one after the step whose loss before it is the
    lowest (keras-vis), or the last.
    """

    keeps_best: ClassVar[bool] = False

    def start(self, variables: tf.Tensor) -> Slots:
        """Slots before the first step, for variables (N, ...)."""
        raise NotImplementedError

    def update(
        self, variables: tf.Tensor, gradient: tf.Tensor, slots: Slots, scale: float
    ) -> tuple[tf.Tensor, Slots]:
        """Variables and slots after one step down the gradient of the loss.

        Args:
            variables: (N, ...).
            gradient: of each map's own loss, (N, ...).
            slots: as `start` or the last step gave them.
            scale: what a learning rate of 1 means for these variables.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class KerasVisRMSprop(Optimizer):
    """keras-vis 0.4.1 (`Optimizer.minimize`, `_rmsprop`), which keeps the image of the lowest loss.

    `g = g / (sqrt(mean g^2) + eps); v = .95 v + .05 g^2; x = x - g / sqrt(v + eps)`, eps = 1e-7.
    There is no learning rate: every pixel moves by about 1 in a step, by 4.5 in the first.
    """

    keeps_best: ClassVar[bool] = True

    def start(self, variables):
        return (tf.zeros_like(variables),)

    def update(self, variables, gradient, slots, scale):
        (cache,) = slots
        axes = list(range(1, len(gradient.shape)))
        rms = tf.sqrt(tf.reduce_mean(gradient**2, axis=axes, keepdims=True))
        gradient = gradient / (rms + EPSILON)
        cache = 0.95 * cache + 0.05 * gradient**2
        return variables - gradient / tf.sqrt(cache + EPSILON), (cache,)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, 1412.6980, algorithm 1), which keeps the last image.

    Attributes:
        learning_rate: in units of the parametrization's `scale`; 0.05 moves a pixel by about 3.
        beta_1: decay of the mean gradient.
        beta_2: decay of the mean squared gradient.
        epsilon: keeps the division finite.
    """

    learning_rate: float = 0.05
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def start(self, variables):
        return tf.zeros_like(variables), tf.zeros_like(variables), tf.zeros(())

    def update(self, variables, gradient, slots, scale):
        mean, square, step = slots
        step = step + 1
        mean = self.beta_1 * mean + (1 - self.beta_1) * gradient
        square = self.beta_2 * square + (1 - self.beta_2) * gradient**2
        m = mean / (1 - self.beta_1**step)
        v = square / (1 - self.beta_2**step)
        rate = self.learning_rate * scale
        return variables - rate * m / (tf.sqrt(v) + self.epsilon), (mean, square, step)
