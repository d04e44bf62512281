"""Run by the Python of the environment `coreml-tensorflow`, without torch and dermedge: packages of TensorFlow.

    python -I _others_tensorflow.py NAME FOLDER

Writes FOLDER/m.mlpackage, and FOLDER/example.npz with its inputs and with the answers of TensorFlow, in their order.
"""

import sys
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import tensorflow as tf
from tensorflow.keras import layers

SIDE, STEPS, FEATURES = 64, 7, 8


def drawn(*shape):
    return np.random.default_rng([len(shape), *shape]).normal(size=shape).astype(np.float32)


def convolutions():
    """Keras' own layers, with a branch and padding on one side alone."""
    x = tf.keras.Input((SIDE, SIDE, 3), batch_size=1)
    y = layers.Activation("swish")(layers.BatchNormalization()(layers.Conv2D(8, 3, 2, "same")(x)))
    y = layers.add([y, layers.DepthwiseConv2D(5, padding="same")(y)])
    y = layers.UpSampling2D(2, interpolation="bilinear")(layers.AveragePooling2D(3, 2, "same")(y))
    y = layers.Dense(5, "softmax")(layers.GlobalAveragePooling2D()(layers.LeakyReLU()(layers.Conv2D(16, 1)(y))))
    return tf.keras.Model(x, y), [drawn(1, SIDE, SIDE, 3)]


def mobilenet():
    net = tf.keras.applications.MobileNetV2((SIDE, SIDE, 3), alpha=0.35, weights=None, classes=10)
    for number, layer in enumerate(net.layers):
        if isinstance(layer, layers.BatchNormalization):  # with the statistics of a new network answers vanish
            count = layer.moving_mean.shape[0]
            layer.moving_mean.assign(0.1 * drawn(count, number + 1)[:, 0])
            layer.moving_variance.assign(np.full(count, 0.1, np.float32))
    x = tf.keras.Input((SIDE, SIDE, 3), batch_size=1)
    return tf.keras.Model(x, net(x)), [drawn(1, SIDE, SIDE, 3)]


def recurrent():
    """Keras' recurrent layers, which become loops over lists."""
    x = tf.keras.Input((STEPS, FEATURES), batch_size=2)
    y = layers.Bidirectional(layers.LSTM(6, return_sequences=True))(x)
    return tf.keras.Model(x, layers.Dense(3)(layers.GRU(4)(y))), [drawn(2, STEPS, FEATURES)]


def attention():
    """Two inputs, attention of Keras between them, layer norms and GELU; two answers."""
    x, y = tf.keras.Input((STEPS, FEATURES), batch_size=2), tf.keras.Input((STEPS + 2, FEATURES), batch_size=2)
    seen = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, y))
    return tf.keras.Model([x, y], [layers.Dense(6, "gelu")(seen), seen[:, ::2]]), [
        drawn(2, STEPS, FEATURES), drawn(2, STEPS + 2, FEATURES),
    ]  # fmt: skip


class Steps(tf.Module):
    """A loop that TensorFlow runs: as many rounds as the values ask for, its sums gathered in a list."""

    @tf.function(input_signature=[tf.TensorSpec((4, FEATURES))])
    def __call__(self, x):
        sums = tf.TensorArray(tf.float32, size=4, element_shape=(FEATURES,))
        total, row = tf.zeros((FEATURES,)), tf.constant(0)
        while row < 4:
            total = total * 0.5 + tf.nn.relu(tf.gather(x, row))
            sums = sums.write(row, total)
            row += 1
        return tf.cumsum(sums.stack(), axis=1)


def loop():
    return Steps(), [drawn(4, FEATURES)]


NETWORKS = {
    "convolutions": convolutions, "mobilenet": mobilenet, "recurrent": recurrent, "attention": attention, "loop": loop,
}  # fmt: skip


def main(name: str, folder: Path) -> None:
    tf.random.set_seed(0)
    net, values = NETWORKS[name]()
    arguments = [tf.constant(value) for value in values]
    if isinstance(net, tf.keras.Model):
        answers = net(arguments if len(arguments) > 1 else arguments[0], training=False)
        source = net
        names = [each.name for each in net.inputs]
    else:
        answers = net(*arguments)
        source = [net.__call__.get_concrete_function()]
        names = ["x"]
    model = ct.convert(
        source, source="tensorflow", convert_to="mlprogram", compute_precision=ct.precision.FLOAT32,
        minimum_deployment_target=ct.target.iOS17, skip_model_load=True,
    )  # fmt: skip
    model.save(str(folder / "m.mlpackage"))
    answers = answers if isinstance(answers, list | tuple) else [answers]
    arrays: dict[str, Any] = {f"input {name}": value for name, value in zip(names, values, strict=True)}
    arrays |= {f"answer {number}": np.array(answer) for number, answer in enumerate(answers)}
    np.savez(folder / "example.npz", **arrays)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
