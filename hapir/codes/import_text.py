"""Codes of networks written as text, and of weights taken over by name: HAP0970 to HAP0979."""

from __future__ import annotations

from hapir.codes.code import Code

IMPORT_TEXT = {
    "HAP0970": Code(
        "no statement for a layer",
        "A network is written as `.hap` text, and one of its ops is not what any statement of the language makes: it "
        "multiplies by something that is no parameter, say, or its options go beyond those of the statement.",
        "hapir import model.onnx -o model.hap",
    ),
    "HAP0971": Code(
        "a network that cannot be written",
        "A network that is written as `.hap` text is read again and compared. It would not read back as the same "
        "network, so nothing is written. A zero with a minus is such a case: the language has only one zero.",
        "hapir import model.onnx -o model.hap",
    ),
    "HAP0972": Code(
        "a rule for names that cannot be used",
        "Weights are taken over by name. A rule `old = new` says what arrays are called in the network: whole names, "
        "or their beginnings up to a dot. `*` stands for any text without dots, `**` for any text, as often on both "
        "sides. A rule that speaks of no array is refused, for it is most likely misspelled.",
        "hapir import w.safetensors --into net.hap --map 'layer1.* = l1_*'",
    ),
    "HAP0973": Code(
        "a parameter without an array",
        "The file of weights has no array whose name is that of a parameter, as it is or after the rules. Where shapes "
        "and order suggest one, the message says so; nothing is taken over by shape alone.",
        "hapir import w.safetensors --into net.hap",
    ),
    "HAP0974": Code(
        "two arrays for one parameter",
        "After the rules, the names of two arrays of the file are those of the same parameter.",
        "hapir import w.safetensors --into net.hap --map 'old.* = c1.*'",
    ),
    "HAP0975": Code(
        "arrays that fit no parameter",
        "The file holds arrays that the network has no parameter for. They are left out. That is as it should be where "
        "the network is only a part of the model; else a name is misspelled, or a layer is missing.",
        "hapir import w.safetensors --into net.hap",
    ),
    "HAP0976": Code(
        "an array of another shape",
        "An array has the name of a parameter and another shape. Keras stores windows first and outputs last: "
        "`--layout keras` turns them. Else the network is another one than that of the weights.",
        "hapir import w.npz --into net.hap --layout keras",
    ),
    "HAP0977": Code(
        "an array of another type",
        "Parameters are f32, or integers where a layer says so. Other floats are rounded, and integers that fit are "
        "taken over, which is told as a warning. Integers are not taken for reals, nor reals for integers, nor numbers "
        "that the type does not hold.",
        "hapir import w.safetensors --into net.hap",
    ),
    "HAP0978": Code(
        "a map that cannot be read",
        'A map of names is a TOML file of lines `"old" = "new"`; tables are parts of names.',
        "hapir import w.safetensors --into net.hap --map names.toml",
    ),
    "HAP0979": Code(
        "weights that cannot be written there",
        "Weights are written to a .safetensors file: the one that the network names, one called like the spec, or that "
        "of `-o`. A file that is there is replaced only with `--force`, and never the one that the weights come from.",
        "hapir import w.safetensors --into net.hap -o net.safetensors",
    ),
}
