"""Codes of factorizations and weight generators: HAP057x."""

from hapir.codes.code import Code

FACTORS = {
    "HAP0570": Code(
        "layer in groups",
        "Factorizations take apart filters that see all input channels. Those of a grouped or depthwise convolution "
        "see a few each.",
        'low_rank(layers = "dw1")    // dw1 is depthwise',
    ),
    "HAP0571": Code(
        "nothing gets cheaper",
        "A layer is factored only where its form costs less than before (option `veto`, and in ALF the limit C_max), "
        "and that holds for none of the selected ones.",
        'low_rank(layers = "c1", rank = 16)    // c1 has 16 filters',
    ),
    "HAP0572": Code(
        "no layer for slices",
        "A slice generator makes weights of as many axes as its slices have: four for convolutions, two for dense "
        "layers. The first layer of a network is never compressed unless `keep_first = false`.",
        'csg(layers = "f1", slice = [16, 16, 3, 3])    // f1 is dense',
    ),
    "HAP0573": Code(
        "ALF block incomplete",
        "A layer that was trained as an ALF block has an encoder (C_o x C_code), a mask (C_code) and an expansion "
        "(C_o x C_code) in the file: all three, of these shapes, of finite numbers.",
        'alf_deploy(trained = "blocks.npz")    // which holds c1.encoder alone',
    ),
    "HAP0574": Code(
        "no opposite filters",
        "CReLU sharing needs pairs of filters of one convolution that point into opposite directions, and readers "
        "whose input channels can be reordered: not an add, a concat, or the network's result.",
        "crelu(tolerance = 0)",
    ),
    "HAP0575": Code(
        "matrix of a generator does not fit",
        "The file holds an array `matrix` with one row per weight of a slice and one column per number of a code, all "
        "finite.",
        'csg(slice = [4, 4, 3, 3], matrix = "resnet20.npz")    // whose matrix has 2304 rows',
    ),
}
