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
machine.machine @board {
  machine.memory @ddr kind "dram" size 17179869184 bandwidth 64
  machine.fpga @pl part "xc7z020clg484-1" luts 53200 flip_flops 106400 lut_ram 1114112 block_rams 140 block_ram_size 36864 ultra_rams 0 dsps 220 pins 200
  machine.host @ps isa "armv7" simd 128 registers 16 cores 2 clock 650000000 extensions ["neon"] {
    machine.cache @l1 keeps "data" size 262144 line 256 ways 4 bandwidth 64 latency 1
    machine.cache @l2 size 4194304 shared
    machine.memory @ocm size 2097152
  }
}
machine.machine @clusters technology "cmos45" overrides {dram_access = 6.400000e+02 : f64} clock 500000000 {
  machine.memory @glb kind "sram" size 884736 width 64 banks 27 read_ports 1 write_ports 1 shared_ports 0 read_bandwidth 256 write_bandwidth 256 latency 2 write_latency 1 read_energy 19.2 write_energy 1.0e-09 holds ["input", "psum"] bypass ["weight"]
  machine.array @pe 12 x 14 {
    machine.memory @psums words 24 holds ["psum"] per "pe"
    machine.array @lane 1 x 4 {
      machine.unit "xnor_popcount" {lanes = 48 : i64, accumulate = si8}
    }
  }
  machine.network_on_chip @inputs topology "bus" from ["glb"] to ["pe"] carries ["input"] width 16 bandwidth 64 latency 1 hop_energy 0.5 multicast
  machine.network_on_chip @sums topology "systolic" from ["pe"] to ["pe", "lane"] reduces
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
// CHECK:      machine.machine @board {
// CHECK-NEXT:   machine.memory @ddr kind "dram" size 17179869184 bandwidth 64
// CHECK-NEXT:   machine.fpga @pl part "xc7z020clg484-1" luts 53200 flip_flops 106400 lut_ram 1114112 block_rams 140 block_ram_size 36864 ultra_rams 0 dsps 220 pins 200
// CHECK-NEXT:   machine.host @ps isa "armv7" simd 128 registers 16 cores 2 clock 650000000 extensions ["neon"] {
// CHECK-NEXT:     machine.cache @l1 keeps "data" size 262144 line 256 ways 4 bandwidth 64 latency 1
// CHECK-NEXT:     machine.cache @l2 size 4194304 shared
// CHECK-NEXT:     machine.memory @ocm size 2097152
// CHECK-NEXT:   }
// CHECK-NEXT: }
// CHECK:      machine.machine @clusters technology "cmos45" overrides {dram_access = 6.400000e+02 : f64} clock 500000000 {
// CHECK-NEXT:   machine.memory @glb kind "sram" size 884736 width 64 banks 27 read_ports 1 write_ports 1 shared_ports 0 read_bandwidth 256 write_bandwidth 256 latency 2 write_latency 1 read_energy 19.2 write_energy 1.0e-09 holds ["input", "psum"] bypass ["weight"]
// CHECK-NEXT:   machine.array @pe 12 x 14 {
// CHECK-NEXT:     machine.memory @psums words 24 holds ["psum"] per "pe"
// CHECK-NEXT:     machine.array @lane 1 x 4 {
// CHECK-NEXT:       machine.unit "xnor_popcount" {lanes = 48 : i64, accumulate = si8}
// CHECK-NEXT:     }
// CHECK-NEXT:   }
// CHECK-NEXT:   machine.network_on_chip @inputs topology "bus" from ["glb"] to ["pe"] carries ["input"] width 16 bandwidth 64 latency 1 hop_energy 0.5 multicast
// CHECK-NEXT:   machine.network_on_chip @sums topology "systolic" from ["pe"] to ["pe", "lane"] reduces
// CHECK-NEXT: }
