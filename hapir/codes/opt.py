"""Codes of `hapir opt`: HAP085x and HAP086x."""

from hapir.codes.code import Code

OPT = {
    "HAP0850": Code(
        "pipeline that cannot be read",
        "A pipeline is a list of passes, each with its options in braces, spaces between options and commas between "
        "the values of one option. Words with other characters than letters, digits, `_` and `-` stand in quotes.",
        "hapir opt net.mlir -p 'prune{sparsity=0.5'",
    ),
    "HAP0851": Code(
        "input cannot be read",
        "The input is missing, is a folder, may not be read, is not UTF-8 text, or is of a kind that hapir opt does "
        "not know. It reads .mlir and .hap; `-f` says which where the name does not.",
        "hapir opt net.txt",
    ),
    "HAP0852": Code(
        "IR that cannot be parsed",
        "The text is not IR as MLIR writes it, or an operation's own syntax is violated, or an attribute has a value "
        "that its type does not allow. The caret shows where reading stopped.",
        "%y = nn.relu %x tensor<1x4xf32>    // and no `:` before the type",
    ),
    "HAP0853": Code(
        "input is not valid IR",
        "The input can be parsed, but an operation breaks the rules of its dialect. All such operations are shown, "
        "inner ones first. `--disable-verify` goes on all the same.",
        "nn.return    // outside of an nn.network",
    ),
    "HAP0854": Code(
        "options that do not go together",
        "One option asks for what another one makes impossible.",
        "hapir opt net.mlir --split-input-file --save-weights w.safetensors",
    ),
    "HAP0855": Code(
        "target cannot print this module",
        "The target knows no text for something in the module; lower it first. The message is the target's own.",
        "hapir opt net.mlir -t riscv-asm",
    ),
    "HAP0856": Code(
        "expected diagnostic that did not come",
        "With --verify-diagnostics each comment `expected-error`, `expected-warning` and `expected-note` must meet a "
        "message of that kind on its line that holds its text.",
        "// expected-error@+1 {{no such words}}",
    ),
    "HAP0857": Code(
        "diagnostic that was not expected",
        "With --verify-diagnostics each error and warning needs a comment that expects it; notes need none.",
        "an error on a line without // expected-error",
    ),
    "HAP0858": Code(
        "expectation that cannot be read",
        "It is written `expected-error@+1 {{text}}`, alone in a comment or last on a line, with error, warning or "
        "note. After @ stands the distance in lines, `above`, `below` or `unknown`; without it, this line is meant. "
        "`expected-error-re` takes regular expressions in double braces inside of its text.",
        "// expected-error@next {{text}}",
    ),
    "HAP0860": Code(
        "pass crashed",
        "A pass failed in a way that it did not foresee: this is a bug in the pass. The reproducer holds the IR, "
        "weights and data from before it and the pipeline from there on: `hapir opt FILE` repeats the crash. Set "
        "HAPIR_DEBUG=1 to see where in the pass it happened.",
        "a plug-in's pass that divides by zero",
    ),
    "HAP0861": Code(
        "damaged reproducer",
        "A file that starts as a reproducer does lacks something that its header names, or names something that a "
        "header may not: a reproducer says which passes run, and nothing else.",
        "// configuration: -p 'fuse' -o ~/.bashrc",
    ),
    "HAP0862": Code(
        "broken pipeline",
        "A named pipeline names itself, directly or through others, or its text cannot be read.",
        "a plug-in's pipeline `a` with the passes `b,a`",
    ),
    "HAP0863": Code(
        "pass that does not run",
        "IR is to be printed before or after a pass that the pipeline does not hold; nothing is printed there.",
        "hapir opt net.mlir -p fuse --print-ir-after=prune",
    ),
}
