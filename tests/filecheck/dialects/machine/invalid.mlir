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

// expected-error@+1 {{'machine.array' expects parent op to be one of 'machine.machine', 'machine.array'}}
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

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{the kind of a memory is one of dram, sram, register, fifo, not flash}}
  machine.memory @b kind "flash"
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{machine.memory: read_bandwidth must be at least 1, got 0}}
  machine.memory @b read_bandwidth 0
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{machine.memory: write_bandwidth must be at least 1, got 0}}
  machine.memory @b write_bandwidth 0
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{machine.memory: write_latency must not be negative, got -1}}
  machine.memory @b write_latency -1
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{machine.memory: read_ports must not be negative, got -1}}
  machine.memory @b read_ports -1
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{a memory has at least one port}}
  machine.memory @b read_ports 0 write_ports 0
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{the size of a memory is in bits or in words, not in both}}
  machine.memory @b size 8 words 1
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{bandwidth is shared by reads and writes}}
  machine.memory @b bandwidth 8 write_bandwidth 8
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{read_energy must not be negative, got -1.0}}
  machine.memory @b width 8 read_energy -1.0
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{write_energy is that of an access of `width` bits; the memory has no width}}
  machine.memory @b write_energy 1.0
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{a memory is bypassed by one of input, weight, output, psum, not bias}}
  machine.memory @b bypass ["bias"]
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{a memory holds input once, not 2 times}}
  machine.memory @b holds ["input", "input"]
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{input, output is held and bypasses the memory at once}}
  machine.memory @b holds ["input", "output"] bypass ["output", "input"]
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{a memory is one per pe, row, column, not per chip}}
  machine.memory @b per "chip"
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{16 lanes sum to -16..16, the accumulator holds -8..7}}
  machine.unit "xnor_popcount" {lanes = 16 : i64, accumulate = si4}
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{unit xnor_popcount: lanes must be at least 1, got 0}}
  machine.unit "xnor_popcount" {lanes = 0 : i64, accumulate = si4}
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{an xnor_popcount unit accumulates in an integer whose type says the sign}}
  machine.unit "xnor_popcount" {lanes = 1 : i64, accumulate = i4}
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{the topology of a network-on-chip is one of bus, broadcast,}}
  machine.network_on_chip @n topology "star" from ["a"] to ["a"]
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{a network-on-chip has a source and a destination}}
  machine.network_on_chip @n topology "bus" from [] to ["a"]
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{a network-on-chip carries one of input, weight, output, psum, not bias}}
  machine.network_on_chip @n topology "bus" from ["a"] to ["a"] carries ["bias"]
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{machine.network_on_chip: width must be at least 1, got 0}}
  machine.network_on_chip @n topology "bus" from ["a"] to ["a"] width 0
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{machine.network_on_chip: latency must not be negative, got -1}}
  machine.network_on_chip @n topology "bus" from ["a"] to ["a"] latency -1
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{hop_energy must not be negative, got -2.0}}
  machine.network_on_chip @n topology "bus" from ["a"] to ["a"] width 8 hop_energy -2.0
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{hop_energy is that of `width` bits over one hop; the network has no width}}
  machine.network_on_chip @n topology "bus" from ["a"] to ["a"] hop_energy 2.0
}

// -----

// expected-error@+1 {{n connects c, which is no memory or array of the machine}}
machine.machine @m technology "cmos45" clock 1000000 {
  machine.memory @a
  machine.network_on_chip @n topology "bus" from ["a"] to ["c"]
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{machine.fpga: luts must be at least 1, got 0}}
  machine.fpga @f luts 0
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{machine.fpga: dsps must not be negative, got -1}}
  machine.fpga @f dsps -1
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{the instruction set of a host is one of x86_64, aarch64, armv7, armv7e_m, riscv32, riscv64, generic, not z80}}
  machine.host @h isa "z80" {}
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{machine.host: simd must be at least 1, got 0}}
  machine.host @h isa "generic" simd 0 {}
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{what a cache keeps is one of data, instructions, unified, not pages}}
  machine.host @h isa "generic" { machine.cache @c keeps "pages" size 8 }
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{machine.cache: line must be at least 1, got 0}}
  machine.host @h isa "generic" { machine.cache @c size 8 line 0 }
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{machine.cache: latency must not be negative, got -1}}
  machine.host @h isa "generic" { machine.cache @c size 8 latency -1 }
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{a cache of 1000 bit is not made of 2 ways of whole lines of 64 bit}}
  machine.host @h isa "generic" { machine.cache @c size 1000 line 64 ways 2 }
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{'machine.cache' expects parent op 'machine.host'}}
  machine.cache @c size 8
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{'machine.fpga' expects parent op 'machine.machine'}}
  machine.array @a 1 x 1 { machine.fpga @f }
}

// -----

machine.machine @m technology "cmos45" clock 1000000 {
  // expected-error@+1 {{'machine.host' expects parent op 'machine.machine'}}
  machine.array @a 1 x 1 { machine.host @h isa "generic" {} }
}

// -----

machine.host @h isa "generic" {
  // expected-error@+1 {{'machine.network_on_chip' expects parent op to be one of}}
  machine.network_on_chip @n topology "bus" from ["a"] to ["a"]
}

// -----

// expected-error@+1 {{there is no technology table whose entries the machine could replace}}
machine.machine @m overrides {dram_access = 1.0 : f64} {
  
}

// -----

// expected-error@+1 {{the technology entry dram_access is a number of f64 and not negative}}
machine.machine @m technology "cmos45" overrides {dram_access = -1.0 : f64} {
  
}

// -----

// expected-error@+1 {{the technology entry dram_access is a number of f64 and not negative}}
machine.machine @m technology "cmos45" overrides {dram_access = "cheap"} {
  
}
