"""Codes of weights and data: HAP04xx."""

from hapir.codes.code import Code

DATA = {
    "HAP0401": Code(
        "data file cannot be read",
        "A weights or data file is missing, damaged, or neither .safetensors nor .npz. Paths start at the folder of "
        "the file that names it.",
        'weights from "digts.safetensors"',
    ),
    "HAP0402": Code(
        "missing parameter",
        "The weights file has no array for a parameter. Keys are `<layer>.<parameter>`: weight, bias, gamma, beta, "
        "mean, variance.",
        "c1 = conv2d(...)    // and a file without c1.weight",
    ),
    "HAP0403": Code(
        "misshapen parameter",
        "An array of the weights file has another shape than the network gives the parameter. Convolutions are K x "
        "C/G x R x S, dense layers K x C.",
        "f1 = dense(x, units = 10)    // and a 12x64 array",
    ),
    "HAP0404": Code(
        "unusable parameter values",
        "A parameter holds values that are NaN or infinite, or a variance so negative that its root does not exist.",
        "a diverged training run",
    ),
    "HAP0405": Code(
        "data does not fit the network",
        "A calibration or test file lacks an input, its arrays have other shapes than the network's inputs, or its "
        "values are not finite.",
        'quantize(calibration = "other_images.npz")',
    ),
    "HAP0406": Code(
        "parameter of another type",
        "The arrays of a weights file are float32, and integers where a statement says so: `weights = i8`.",
        "a float64 array c1.weight",
    ),
    "HAP0420": Code(
        "the inputs are not the network's",
        "A run needs one array for each input that the network declares, under its name, and no others.",
        "np.savez('d.npz', picture = x) for a network whose input is `image`",
    ),
    "HAP0421": Code(
        "an input of another shape or type",
        "An input array must have the declared element type, and the declared shape but for its first axis, which is "
        "the batch: any size of at least 1, the same for all inputs.",
        "images of 28x28 for `image: f32[1, 1, 8, 8]`",
    ),
    "HAP0422": Code(
        "values that cannot be computed with",
        "Inputs, weights and scales must be finite, scales positive, and integers must lie in the range of their type. "
        "NaN and infinity are reported here, never passed on.",
        "an image with a NaN pixel",
    ),
    "HAP0423": Code(
        "missing array",
        "The IR names a weight or a scale by a key that the weight store does not hold.",
        'nn.weight "c1.weigth"',
    ),
    "HAP0424": Code(
        "an array that differs from its type",
        "The array stored under a key has another shape or element type than the IR says.",
        "a 5x5 kernel stored for a 3x3 convolution",
    ),
    "HAP0425": Code(
        "an op without a meaning",
        "The reference interpreter runs ops that have an entry in its tables, one table per dialect; the network holds "
        "an op that has none.",
        "an op of a plug-in that brings no meaning",
    ),
    "HAP0480": Code(
        "input array missing or unknown",
        "The arrays of an input file are named like the network's inputs. One is missing, or one has a name that is no "
        "input; `label` alone may stand beside them.",
        "hapir run digits.hap --input data.npz    // and arrays `x`, `y` for a network with the input `image`",
    ),
    "HAP0481": Code(
        "misshapen input array",
        "Axis 0 of an input counts images, a multiple of the declared batch and the same for all inputs; the other "
        "axes are as declared. Labels are whole numbers, one per image.",
        "hapir run digits.hap --input data.npz    // and `image` of shape 8x8 instead of images x1x8x8",
    ),
    "HAP0482": Code(
        "unusable input values",
        "An input holds values that are not finite, or that the type of the network's input cannot hold.",
        "an `image` with NaN, or with 300 for an input of u8",
    ),
    "HAP0485": Code(
        "integer overflow",
        "An accumulator left 32 bits on this input. hapir never lets integers wrap in silence.",
        "a dense layer of 300 000 inputs, all at their largest value",
    ),
}
