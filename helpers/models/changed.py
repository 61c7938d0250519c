"""Models of which one layer puts out something else; nothing is copied."""

from collections.abc import Callable

import keras

from helpers.models.graph import graph_of
from helpers.models.inputs import as_built, held_values, image_input
from helpers.models.paths import find_call
from helpers.models.preprocessing import Preprocessing, input_front, resolve_in


def with_change(
    model: keras.Model,
    layer: str | int,
    change: keras.Layer,
    *,
    preprocessing: Preprocessing | None = None,
) -> keras.Model:
    """Let a layer put out `change` of its output; `model` stays as it is.

    Args:
        model: Functional or Sequential, nested at any depth, with one output.
        layer: path or index; of a layer called several times, the call that is named.
        change: takes the layer's output (N, ..., units), and gives one of the same shape.
        preprocessing: as `resolve_preprocessing` takes it.

    Returns:
        A Functional model from pixels 0..255 (N, *image shape) to the output, float32. It shares
        the weights; inputs that are not the image are held at 0.

    Raises:
        ValueError: as `cut_at`, or the model has several outputs.
    """
    graph = graph_of(model)
    if len(graph.outputs) > 1:
        names = [graph.maker(value).path for value in graph.outputs]
        raise ValueError(f"model must have one output, got {str(names)[:150]}: cut it at one")
    image = image_input(graph)
    target, output = find_call(model, graph, layer), graph.outputs[0]
    front = input_front(resolve_in(graph, image, preprocessing))
    value = next(value for value in graph.inputs if value.name == image.name)

    def run(pixels):
        values = {value: as_built(graph, image.name, front(pixels))}
        for other, example in held_values(graph, image.name, None).items():
            shape = (keras.ops.shape(pixels)[0], *example.shape[1:])
            values[other] = keras.ops.broadcast_to(example, shape)
        for call in graph.needed([output]):
            outputs = call.run(values)
            if call is target:
                outputs[0] = change(outputs[0])
            values |= zip(call.outputs, outputs, strict=True)
        return keras.ops.cast(values[output], "float32")

    pixels = keras.Input(image.shape, dtype="float32", name="pixels")
    return keras.Model(pixels, _Changed(model, change, run)(pixels), name=model.name)


class _Changed(keras.layers.Layer):
    """Makes the calls of a user's model, one of them changed."""

    def __init__(self, model: keras.Model, change: keras.Layer, run: Callable):
        super().__init__(dtype="float32", autocast=False)
        self.source, self.change, self.run = model, change, run

    def call(self, pixels):
        """(N, ...) to the model's output."""
        return self.run(pixels)
