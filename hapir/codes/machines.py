"""Codes of machines and of the mapping onto them: HAP06xx."""

from hapir.codes.code import Code

MACHINES = {
    "HAP0601": Code(
        "machine lacks a part",
        "The weight-stationary dataflow needs one outside memory with a bandwidth, an activation memory of two halves, "
        "a weight buffer, and one array with a `mac` unit, double-buffered weight registers and an accumulator memory.",
        "machine m { clock = 100 MHz }   // no array",
    ),
    "HAP0602": Code(
        "memory of the wrong kind",
        "A memory of the machine has a width, a latency or a buffering that the dataflow cannot use: the outside port "
        "is a power of two from 8 to 512 bit wide, answers after at least one cycle, and weight registers are double.",
        "memory dram { bandwidth = 3 B/cycle, latency = 20 cycle }",
    ),
    "HAP0603": Code(
        "number format does not match the machine",
        "A format that a unit cannot hold exactly is an error: activations, weights, rounding, requantization factors "
        "and the largest sum must fit what the machine declares. Change the recipe or the unit.",
        "quantize(activations = i8)   // on a machine with multiply = u8 * i8",
    ),
    "HAP0604": Code(
        "does not fit a memory",
        "A layer's input or output, a weight tile or a pooling window is larger than the memory that holds it. The "
        "message says by how much.",
        "memory activations { size = 256 B, holds = [input, output], double_buffered = true }",
    ),
    "HAP0605": Code(
        "unknown technology",
        "Energies and areas come from a technology table; there is none of this name.",
        "technology = cmos46",
    ),
    "HAP0606": Code(
        "dataflow without an implementation",
        "hapir emits and estimates machines that run weight-stationary. A plug-in's dataflow can be estimated where it "
        "states its estimate, and is never emitted.",
        "dataflow = row_stationary",
    ),
    "HAP0607": Code(
        "mapping that the machine cannot follow",
        "A `map` may pin what the hardware leaves open: rows and columns of the array as they are built, and the "
        "output pixels per tile at the accumulator memory.",
        "map c1 { at pe { rows = [K], columns = [C] } }",
    ),
    "HAP0608": Code(
        "memory smaller than one word",
        "A memory cannot hold one datum of what it holds, in the format of the unit that it serves, or not one word of "
        "its own port per bank.",
        "memory weight_reg { size = 4 b, holds = weight }   // beside unit mac { multiply = u8 * i8 }",
    ),
    "HAP0609": Code(
        "does not fit the device",
        "The memories of a machine hold more bits than block RAM, UltraRAM and LUT RAM of its FPGA have, or its "
        "registers more than there are flip-flops. Memories of `kind = dram` lie outside and do not count.",
        "fpga pl { block_rams = 140 }   // with memory activations { size = 2 MiB }",
    ),
    "HAP0610": Code(
        "memory that holds nothing",
        "`holds` names what a memory keeps and `bypass` what passes it by: a tensor is not in both, and something must "
        "be left to hold.",
        "memory buffer { size = 4 KiB, holds = [input, weight], bypass = weight }",
    ),
    "HAP0611": Code(
        "part that hapir cannot build",
        "The weight-stationary machine is emitted with its own wiring, one array, and the units `mac` and "
        "`requantize`. Other parts can be described, mapped to and estimated where a model knows them, but not built.",
        "network_on_chip n { topology = mesh, source = pe, destination = pe }",
    ),
    "HAP0613": Code(
        "memory that nothing uses",
        "The dataflow of the schedule has no use for this memory of the machine: it holds nothing, or nothing that the "
        "dataflow keeps there. In a machine that extends another one, often a name is misspelt. It is a warning.",
        "machine m extends ws { memory drm { latency = 5 cycle } }",
    ),
    "HAP0612": Code(
        "array that hardly works",
        "Less than a tenth of the array can be busy with this network, because its layers have far fewer input "
        "channels than the array has rows, or fewer output channels than columns. It is a warning.",
        "array pe[64, 64] { }    // for a network of 3 channels",
    ),
}
