"""Codes of pruners: HAP056x."""

from hapir.codes.code import Code

PRUNERS = {
    "HAP0561": Code(
        "structures that do not combine",
        "Some structures decide about the same weights twice, or leave nothing for the other to decide: a column is "
        "one position of one input channel, so it goes with neither of them. Channels go with groups only where the "
        "number of groups is given, so that all of them stay of one width.",
        "structure_prune(structures = [column, kernel_position], sparsity = 50 %)",
    ),
    "HAP0562": Code(
        "no multiple of the processing elements",
        "With `multiple_of` the channels that stay in each selected layer are a multiple of the processing elements "
        "that share them. The layer has fewer channels than one multiple, or layers that are coupled cannot both hold "
        "one.",
        "filter_prune(sparsity = 50 %, multiple_of = 64)    // and a layer of 32 filters",
    ),
    "HAP0563": Code(
        "budget out of reach",
        "Filters were removed until no selected layer could lose one, and the network still costs more than the budget "
        "allows: channels of inputs and results stay, and no layer loses its last.",
        'filter_prune(layers = "c1", budget = 1 %)',
    ),
    "HAP0564": Code(
        "channels that do not split into groups",
        "A grouped convolution splits its input and its output channels into as many equal parts as it has groups.",
        "structure_prune(structures = group, groups = 4)    // and a convolution of 6 filters",
    ),
    "HAP0565": Code(
        "no layer may leave",
        "A layer may leave where the network goes on without it: in a branch that ends in an add, or that a concat "
        "joins with others. What is around it must read nothing else of it.",
        "structure_prune(structures = layer, sparsity = 50 %)    // and a chain of layers",
    ),
    "HAP0566": Code(
        "layers without the structure",
        "Kernel positions, slices and groups are those of convolutions, and a kernel of one position has none to lose. "
        "A layer that is named gives this error; one that a pattern selects is passed over.",
        'structure_prune(layers = "f1", structures = group, groups = 2)    // and a dense layer f1',
    ),
    "HAP0567": Code(
        "unknown tap",
        "`nn.gather_taps` takes taps of its window only: tap (c * R + r) * S + s is row r and column s of input "
        "channel c.",
        "nn.gather_taps of 4 channels and a 3x3 window with the tap 36",
    ),
}
