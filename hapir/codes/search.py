"""Codes of evaluators, searches and reports: HAP058x."""

from hapir.codes.code import Code

SEARCH = {
    "HAP0580": Code(
        "unknown evaluator",
        "An evaluator says how good a network is: `accuracy`, `agreement`, `sqnr`, or one of a plug-in. "
        "`hapir list evaluators` shows all.",
        'keep_accuracy(within = 1 point, data = "d.npz", evaluator = f1)',
    ),
    "HAP0581": Code(
        "evaluator cannot judge",
        "The evaluator asks for something that this network or these data do not have: classes where the result is one "
        "real number per sample, or a label that is no class of the network.",
        "keep_accuracy(...)    // of a network that returns f32[1]",
    ),
    "HAP0582": Code(
        "allowed loss of an unbounded score",
        "`within` counts down from the score of the float network. Against itself that network's SQNR is infinite, so "
        "say what must be kept with `at_least`.",
        'keep_accuracy(within = 3 dB, data = "d.npz", evaluator = sqnr)',
    ),
    "HAP0583": Code(
        "nothing is good enough",
        "Even the least compression that the search may choose misses the bound, or no choice fits the budget.",
        'mixed_precision(size = 10 B, data = "d.npz")',
    ),
    "HAP0584": Code(
        "report without accuracy",
        "A compression is never shown without the accuracy beside it, and the data hold no array `label` to measure it "
        "with, or the network's first result gives no class.",
        "hapir report net.hap --input images_without_labels.npz",
    ),
    "HAP0585": Code(
        "bound of few samples",
        "A warning: `within` allows so small a share of the samples that fewer than five may go wrong. Accuracy moves "
        "in steps of one sample, so a search fits those few, and a check says little. Score on more samples, or by "
        "`sqnr`, which compares every number that the network gives.",
        'rao(data = "hundred_images.npz", within = 1 point)',
    ),
}
