import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from planted import SIZE, bank, images

from helpers.models import receptive_fields
from helpers.units.responses import measure_responses

FACES, NET = images(), bank()
FIELD = receptive_fields.receptive_field(NET, "bank")
RESPONSES = measure_responses(NET, FACES, "bank", progress=False)


def net(*stack, side=32):
    x = pixels = keras.Input((side, side, 1))
    for layer in stack:
        x = layer(x)
    return keras.Model(pixels, x)


def branched(side=32):
    x = pixels = keras.Input((side, side, 1))
    x = layers.Conv2D(3, 3, padding="same", name="stem")(x)
    wide = layers.Conv2D(3, 5, padding="same")(x)
    x = layers.Add()([x, wide])
    x = layers.MaxPooling2D(2)(x)
    return keras.Model(pixels, layers.Conv2D(2, 3, name="end")(x))


NETS = {
    "pooled": net(layers.Conv2D(2, 3), layers.MaxPooling2D(2), layers.Conv2D(2, 3, name="end")),
    "strided": net(layers.Conv2D(2, 5, strides=2), layers.Conv2D(2, 3, name="end")),
    "same": net(layers.Conv2D(2, 3, strides=2, padding="same"),
                layers.Conv2D(2, 3, padding="same", name="end")),
    "dilated": net(layers.Conv2D(2, 3, dilation_rate=2), layers.AveragePooling2D(3),
                   layers.Conv2D(2, 2, name="end")),
    "padded": net(layers.ZeroPadding2D(((2, 1), (1, 2))), layers.Conv2D(2, 4, name="end")),
    "nested": net(net(layers.Conv2D(2, 3), layers.MaxPooling2D(2)),
                  layers.DepthwiseConv2D(3, name="end")),
    "branched": branched(),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_receptive_field_is_where_the_gradient_is(name):
    model = NETS[name]
    for layer in model.layers + [
        inner for m in model.layers if isinstance(m, keras.Model) for inner in m.layers
    ]:
        for weight in layer.weights:
            weight.assign(tf.abs(weight) + 0.1)
    field = receptive_fields.receptive_field(model, "end")
    row, column = (n // 2 for n in model.output_shape[1:3])
    x = tf.ones((1, *model.input_shape[1:]))
    smooth = keras.models.clone_model(model, clone_function=without_max)
    smooth.set_weights(model.get_weights())
    with tf.GradientTape() as tape:
        tape.watch(x)
        neuron = smooth(x)[0, row, column, 0]
    rows, columns = np.nonzero(tape.gradient(neuron, x).numpy()[0, ..., 0])
    assert field.box(row, column) == (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)


def without_max(layer):
    config = layer.get_config()
    if isinstance(layer, layers.MaxPooling2D):
        return layers.AveragePooling2D(layer.pool_size, layer.strides, layer.padding)
    if isinstance(layer, keras.Model):
        return keras.models.clone_model(layer, clone_function=without_max)
    return type(layer).from_config(config)


def test_what_follows_a_dense_layer_sees_the_whole_picture():
    assert receptive_fields.receptive_field(NET, "bank").size == (3, 3)
    whole = receptive_fields.receptive_field(NET, "decide")
    assert whole.box(0, 0) == (0, 0, SIZE, SIZE) and whole.stride == (0, 0)


def test_padding_lies_outside_of_the_picture():
    field = receptive_fields.receptive_field(NETS["padded"], "end")
    assert field.start == (-2, -1) and field.box(0, 0) == (-2, -1, 2, 3)
