// RUN: hapir opt %s | filecheck %s
// RUN: hapir opt %s | hapir opt | filecheck %s
// RUN: hapir opt %s --print-op-generic | hapir opt | filecheck %s

// Every op of machine in its custom syntax.

machine.machine @tiny_ws technology "cmos45" clock 200000000 {
  machine.memory @dram bandwidth 64 latency 20
  machine.memory @buffer size 524288 width 64 banks 4 holds ["input", "weight"]
  machine.array @pe 8 x 16 {
    machine.unit "mac" {multiply = [ui8, si8], accumulate = si32, multiplier = "exact"}
    machine.memory @weight_reg words 1 holds ["weight"] double_buffered
  }
  machine.unit "requantize" {multiplier = ui16, rounding = "half_up"}
  machine.unit "of_a_plug_in" {depth = 3 : i64}
}
machine.machine @empty technology "cmos45" clock 1 {
  machine.array @pe 1 x 1 {}
}

// CHECK:      machine.machine @tiny_ws technology "cmos45" clock 200000000 {
// CHECK-NEXT:   machine.memory @dram bandwidth 64 latency 20
// CHECK-NEXT:   machine.memory @buffer size 524288 width 64 banks 4 holds ["input", "weight"]
// CHECK-NEXT:   machine.array @pe 8 x 16 {
// CHECK-NEXT:     machine.unit "mac" {multiply = [ui8, si8], accumulate = si32, multiplier = "exact"}
// CHECK-NEXT:     machine.memory @weight_reg words 1 holds ["weight"] double_buffered
// CHECK-NEXT:   }
// CHECK-NEXT:   machine.unit "requantize" {multiplier = ui16, rounding = "half_up"}
// CHECK-NEXT:   machine.unit "of_a_plug_in" {depth = 3 : i64}
// CHECK:      machine.machine @empty technology "cmos45" clock 1 {
// CHECK-NEXT:   machine.array @pe 1 x 1 {}
