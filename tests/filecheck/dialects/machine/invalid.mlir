// RUN: hapir opt %s --split-input-file --verify-diagnostics

// Every way in which the verifiers of machine refuse.


// expected-error@+1 {{machine.machine: clock must be at least 1, got 0}}
machine.machine @m technology "cmos45" clock 0 {}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{machine.memory: size must be at least 1, got 0}}
  machine.memory @buf size 0
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{machine.memory: words must be at least 1, got 0}}
  machine.memory @buf words 0
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{machine.memory: width must be at least 1, got 0}}
  machine.memory @buf width 0
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{machine.memory: banks must be at least 1, got 0}}
  machine.memory @buf banks 0
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{machine.memory: bandwidth must be at least 1, got 0}}
  machine.memory @buf bandwidth 0
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{latency must not be negative, got -1}}
  machine.memory @buf latency -1
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{a memory holds one of input, weight, output, psum, not bias}}
  machine.memory @buf size 8 holds ["weight", "bias"]
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{an array has at least one row and column, got 0 x 8}}
  machine.array @pe 0 x 8 {}
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{an array has at least one row and column, got 8 x 0}}
  machine.array @pe 8 x 0 {}
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{Expected 'x'}}
  machine.array @pe 8 by 8 {}
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{unit mac has the options multiply, accumulate, multiplier, got accumulate, multiplier}}
  machine.unit "mac" {accumulate = si32, multiplier = "exact"}
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{a mac accumulates in a signed format, got ui32}}
  machine.unit "mac" {multiply = [ui8, si8], accumulate = ui32, multiplier = "exact"}
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{a mac multiplies two formats, got 1}}
  machine.unit "mac" {multiply = [ui8], accumulate = si32, multiplier = "exact"}
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{a mac multiplies and accumulates integers whose type says the sign}}
  machine.unit "mac" {multiply = ["u8", si8], accumulate = si32, multiplier = "exact"}
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{a mac multiplies and accumulates integers whose type says the sign}}
  machine.unit "mac" {multiply = [ui8, i8], accumulate = si32, multiplier = "exact"}
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{unit requantize has the options multiplier, rounding, got multiplier}}
  machine.unit "requantize" {multiplier = ui16}
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{a requantize unit rounds by one of half_even, half_up, half_away, floor, not up}}
  machine.unit "requantize" {multiplier = ui16, rounding = "up"}
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{the multiplier of a requantize unit is unsigned, got si16}}
  machine.unit "requantize" {multiplier = si16, rounding = "half_up"}
}

// -----

// expected-error@+1 {{Redefinition of symbol "buf"}}
machine.machine @m technology "cmos45" clock 1000000 {
  machine.memory @buf size 8
  machine.memory @buf size 8
}

// -----

// expected-error@+1 {{'machine.memory' expects parent op to be one of}}
machine.memory @buf size 8

// -----

// expected-error@+1 {{'machine.unit' expects parent op to be one of}}
machine.unit "mac" {multiply = [ui8, si8], accumulate = si32, multiplier = "exact"}

// -----

// expected-error@+1 {{'machine.array' expects parent op 'machine.machine'}}
machine.array @pe 1 x 1 {}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{unit mac: multiply cannot be 3 : i32}}
  machine.unit "mac" {multiply = 3 : i32, accumulate = si32, multiplier = "exact"}
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{unit mac: accumulate cannot be "si32"}}
  machine.unit "mac" {multiply = [ui8, si8], accumulate = "si32", multiplier = "exact"}
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{unit requantize: rounding cannot be 3 : i32}}
  machine.unit "requantize" {multiplier = ui16, rounding = 3 : i32}
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{unit mac has the options multiply, accumulate, multiplier, got}}
  machine.unit "mac" {multiply = [ui8, si8], accumulate = si32, multiplier = "exact", depth = 3 : i64}
}
