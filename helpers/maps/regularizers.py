"""What keeps a picture from being noise: one value a map, never summed over the batch."""

import tensorflow as tf


def lp_norm(x: tf.Tensor, p: int = 6) -> tf.Tensor:
    """`(sum |x|^p)^(1/p) / n` of each picture: holds the pixels near 0.

    keras-vis 0.4.1, `regularizers.LPNorm`, divided by n = H W C as its `normalize` does.

    Args:
        x: (N, H, W, C), any range.
        p: the norm's exponent, even.

    Returns:
        (N,).
    """
    powers = squares = x * x
    for _ in range(p // 2 - 1):  # products: a power function takes most of a step's time
        powers = powers * squares
    return tf.reduce_sum(powers, axis=(1, 2, 3)) ** (1 / p) / _size(x)


def total_variation(x: tf.Tensor) -> tf.Tensor:
    """`sum (x[i+1,j] - x[i,j])^2 + (x[i,j+1] - x[i,j])^2`, over n, of each picture (beta = 2).

    The last row and column are dropped, as in keras-vis 0.4.1, `regularizers.TotalVariation`;
    Mahendran & Vedaldi 2016 (1512.02017), section 3.2.2.

    Args:
        x: (N, H, W, C), any range.

    Returns:
        (N,).
    """
    corner = x[:, :-1, :-1]
    down, right = x[:, 1:, :-1] - corner, x[:, :-1, 1:] - corner
    return tf.reduce_sum(down**2 + right**2, axis=(1, 2, 3)) / _size(x)


def _size(x: tf.Tensor) -> float:
    return float(x.shape[1] * x.shape[2] * x.shape[3])
