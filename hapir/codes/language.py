"""Codes of the language: HAP01xx syntax, HAP02xx names and arguments, HAP03xx shapes, types and units."""

from hapir.codes.code import Code

LANGUAGE = {
    "HAP0101": Code(
        "syntax error",
        "The text does not continue as the grammar of .hap asks. The message says what could stand here. A new line, "
        "`,` and `;` separate alike, inside brackets too. After an error the rest of the statement is skipped.",
        "c1 = conv2d(image, channels = )",
    ),
    "HAP0102": Code(
        "meaningless character",
        "The character belongs to no word of the language. Comments begin with //, strings stand in double quotes, "
        "and names are made of letters, digits, `_` and `.`.",
        "c1 = @relu(image)",
    ),
    "HAP0103": Code(
        "version line",
        "The first line of a file says the version of the language it is written in, so that a later hapir can read "
        "it as it was meant.",
        "hap 2",
    ),
    "HAP0104": Code(
        "too large or too deep",
        "The file is longer, or its brackets are nested deeper, than any spec needs. Give inner layers names of "
        "their own.",
        "y = relu(relu(relu( ... )))",
    ),
    "HAP0105": Code(
        "number out of bounds",
        "A number has at most 40 characters and must be a finite 64-bit float.",
        "c1 = conv2d(image, channels = 1e999, kernel = 3)",
    ),
    "HAP0106": Code(
        "file cannot be read",
        "The spec or an imported file is missing, is a folder, is too large, or is not UTF-8 text.",
        'import "photo.png"',
    ),
    "HAP0107": Code(
        "unknown unit",
        "A word follows a number but is not in the closed list of units. Case matters: MHz, KiB, B for bytes, b for "
        "bits.",
        "clock = 200 Mhz",
    ),
    "HAP0108": Code(
        "string without end",
        'A string begins and ends with " on one line. Inside it \\" and \\\\ stand for " and \\.',
        'import "machines/tiny.hap',
    ),
    "HAP0201": Code(
        "unknown layer",
        "No layer statement of this name is registered. `hapir list layers` shows those that are.",
        "c1 = conv3d(image, channels = 16, kernel = 3)",
    ),
    "HAP0202": Code(
        "unknown tensor",
        "A layer's input is neither an input of the network nor a name defined above. A layer that gives pieces has "
        "no tensor of its own name: the pieces of `s = split(x, parts = 2)` are `s[1]` and `s[2]`.",
        "r1 = relu(c9)",
    ),
    "HAP0203": Code(
        "unknown pass",
        "A recipe step is a registered pass. `hapir list passes` shows those that are.",
        "recipe small { quantise() }",
    ),
    "HAP0204": Code(
        "unknown option",
        "The layer, pass, unit or block has no option of this name. `hapir help NAME` shows its options.",
        "c1 = conv2d(image, chanels = 16, kernel = 3)",
    ),
    "HAP0205": Code(
        "wrong number of arguments",
        "Tensors are given by position, options by name. The layer takes another number of tensors, or an option is "
        "written without its name.",
        "s = add(a)",
    ),
    "HAP0206": Code(
        "missing option",
        "An option without a default is not given.",
        "f1 = dense(x)",
    ),
    "HAP0207": Code(
        "defined twice",
        "Names are unique: definitions within a spec and what it imports, layers within a network, parts within a "
        "machine. Networks, blocks, machines, recipes and schedules share one set of names. Both places are shown.",
        "c1 = relu(x); c1 = relu(x)",
    ),
    "HAP0208": Code(
        "no such layer",
        "A glob of a recipe matches no layer of the network, or a map names a layer that does not exist. Unnamed "
        "nested calls have names too: `f1 = dense(flatten(x))` makes the layer `f1.flatten`.",
        'prune(layers = "conv*")',
    ),
    "HAP0209": Code(
        "unknown definition",
        "A schedule or a command names a network, machine, recipe or schedule that neither the spec nor its imports "
        "define.",
        "schedule s of digits with smal on tiny { }",
    ),
    "HAP0210": Code(
        "unknown part of a machine",
        "A map places loops at a memory or array that the machine of the schedule does not have, or a network-on-chip "
        "connects one that is not there.",
        "map c1 { at bufer { for = [K: 2] } }",
    ),
    "HAP0211": Code(
        "unknown dimension or tensor",
        "Loop dimensions are N K C P Q R S G: batch, output and input channels, output rows and columns, kernel rows "
        "and columns, groups. The tensors of a layer are input, weight and output.",
        "at pe { rows = [X] }",
    ),
    "HAP0212": Code(
        "import not found",
        "The file is neither beside the importing file nor in hapir's library. Paths use `/`.",
        'import "machines/tinny.hap"',
    ),
    "HAP0213": Code(
        "imports in a circle",
        "A file imports itself, directly or through others; the message shows the chain. Move what both need into a "
        "third file.",
        'a.hap: import "b.hap"    b.hap: import "a.hap"',
    ),
    "HAP0214": Code(
        "path outside the project",
        "Imports and weight files stay in the folder of the spec, so that a foreign spec cannot read other files. "
        "`--allow-outside` lifts this.",
        'import "../../secret.hap"',
    ),
    "HAP0215": Code(
        "unknown unit of a machine",
        "No functional unit of this name is registered. `hapir list units` shows those that are.",
        "unit multiplier { }",
    ),
    "HAP0216": Code(
        "unknown block or setting",
        "A block holds something that has no meaning there.",
        "machine m { memry buffer { } }",
    ),
    "HAP0217": Code(
        "unknown dataflow",
        "No dataflow of this name is registered. `hapir list dataflows` shows those that are.",
        "dataflow = row_stationery",
    ),
    "HAP0218": Code(
        "results of a network",
        "A network ends with `return` and gives as many results as it declares; nothing follows them, and each value "
        "before them has a name.",
        "network n(x: f32[1, 4]) -> f32[1, 4] { r = relu(x) }",
    ),
    "HAP0219": Code(
        "unknown technology",
        "A machine names a table of energies and areas that is not in the library.",
        "technology = cmos44",
    ),
    "HAP0220": Code(
        "unused value",
        "Nothing uses the result of this layer, or this input. It is a warning: the layer is still computed.",
        "c1 = relu(x); return softmax(x)",
    ),
    "HAP0221": Code(
        "given twice",
        "An option or setting is given two values.",
        "c1 = conv2d(x, kernel = 3, kernel = 5, channels = 4)",
    ),
    "HAP0222": Code(
        "choice needed",
        "The spec has several schedules, or several networks and no schedule, and the command needs one.",
        "hapir compile two_schedules.hap",
    ),
    "HAP0223": Code(
        "reserved name",
        "The name means something to the commands: `--recipe none` keeps the float network.",
        "recipe none { }",
    ),
    "HAP0224": Code(
        "unknown constant",
        "Something is to be computed with a name that is no constant here. Constants are made by `let name = value` "
        "above, by parameters, and by `repeat`; those of a file are seen in that file only.",
        "let depth = stages * 2",
    ),
    "HAP0225": Code(
        "definition that needs itself",
        "A block calls itself, recipes call each other, or machines extend each other, directly or through others. "
        "Rows of equal layers are written with `repeat`.",
        "block b(x) { return b(x) }",
    ),
    "HAP0226": Code(
        "parameter that does not fit its definition",
        "Inputs with a type belong to a network. Parameters of networks, machines and recipes have a default, so that "
        "each can be checked alone; those of blocks may lack one.",
        "machine m(rows) { }",
    ),
    "HAP0227": Code(
        "statement in the wrong place",
        "`weights from` stands in the network itself, and `return` at the end of a network or block, never inside a "
        "`repeat`.",
        "repeat i in range(1, 3) { return x }",
    ),
    "HAP0228": Code(
        "network too large",
        "The network has more layers, or its repeats more turns, than any network needs.",
        "repeat i in range(1, 999999) { c = relu(x) }",
    ),
    "HAP0230": Code(
        "broken plug-in",
        "An installed package offers extensions under the entry point `xdsl.universe`, but it, or one of its entries, "
        "fails when it is loaded or is not what it should be. Everything else works without it.",
        "pip install a-broken-plug-in",
    ),
    "HAP0231": Code(
        "name clash of plug-ins",
        "Two packages offer the same name. hapir's and xDSL's own entries come first, then those of the plug-in "
        "whose name sorts first.",
        "a plug-in with a pass `quantize`",
    ),
    "HAP0232": Code(
        "unknown number format",
        "No number format of this name is registered, neither hapir's own nor a plug-in's. Integers are written `i8` "
        "and `u4`.",
        "round_weights(format = fixd(2, 6))",
    ),
    "HAP0233": Code(
        "unknown multiplier",
        "No multiplier model of this name is registered, neither hapir's own nor a plug-in's.",
        "unit mac { multiplier = trunkated(bits = 2) }",
    ),
    "HAP0234": Code(
        "plug-in failed",
        "A pass, multiplier, number format or dataflow of a plug-in raised an exception while it worked. With "
        "HAPIR_DEBUG=1 hapir shows where.",
        "a plug-in's pass with a bug",
    ),
    "HAP0250": Code(
        "unused name",
        "A constant, a parameter or a block of the spec is never used. It is a warning; `// hapir: allow HAP0250` at "
        "the end of the line silences it.",
        "let unused = 3",
    ),
    "HAP0251": Code(
        "comment that silences nothing",
        "A comment `// hapir: allow CODE` names no code, one that does not exist, or one that nothing here gives. At "
        "the end of a line it speaks of that line, on its own line of the next statement, above the version line of "
        "the whole file. Only warnings can be silenced.",
        "let n = 3    // hapir: allow HAP9999",
    ),
    "HAP0252": Code(
        "unused import",
        "The file uses no definition that this import brings, not even through others. It is a warning.",
        'import "machines/ws_8x8.hap"',
    ),
    "HAP0253": Code(
        "layers that no step selects",
        "The steps of a recipe that change layers select them by globs, and some layers with weights are matched by "
        "none of them. Often a glob is narrower than meant. It is a warning.",
        'recipe r { prune(layers = "c1", sparsity = 50 %) }',
    ),
    "HAP0254": Code(
        "recipe with the name of a pass",
        "A step of a recipe names a pass first and a recipe second, so a recipe with the name of a pass cannot be "
        "called. It is a warning.",
        "recipe quantize { fold_batch_norm() }",
    ),
    "HAP0301": Code(
        "shapes that do not fit",
        "The inputs of a layer do not fit it or each other. The labels show where each input comes from and its type.",
        "s = add(a, b)    // 1x16x8x8 and 1x32x8x8",
    ),
    "HAP0302": Code(
        "wrong unit",
        "A quantity measures something else than the option, or the option takes a plain number.",
        "clock = 200 KiB",
    ),
    "HAP0303": Code(
        "wrong result type",
        "A returned tensor has another type than the network declares.",
        "network n(x: f32[1, 8]) -> f32[1, 10] { return relu(x) }",
    ),
    "HAP0304": Code(
        "wrong kind of value",
        "The value is not of the kind that the option takes, such as a word instead of an integer.",
        "c1 = conv2d(x, channels = many, kernel = 3)",
    ),
    "HAP0305": Code(
        "value out of range",
        "The value is of the right kind but outside of what makes sense.",
        "c1 = conv2d(x, channels = 0, kernel = 3)",
    ),
    "HAP0306": Code(
        "unknown element type",
        "Tensors hold f32 or integers with their sign and width, like i8, u8 and i32.",
        "network n(x: int8[1, 4]) -> int8[1, 4] { return relu(x) }",
    ),
    "HAP0307": Code(
        "operands that do not go together",
        "Numbers and quantities are added and subtracted where they measure the same thing, multiplied where one of "
        "them is a plain number, and divided by a plain number or by what measures the same. Words and tensors cannot "
        "be computed with.",
        "let n = 3 KiB + 4 MHz",
    ),
    "HAP0308": Code(
        "expression without a value",
        "A division by zero, a root or logarithm of a number that has none, or a result that no 64-bit float holds.",
        "let n = 1 / 0",
    ),
}
