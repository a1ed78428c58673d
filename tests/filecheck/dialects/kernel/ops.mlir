// RUN: hapir opt %s | filecheck %s
// RUN: hapir opt %s | hapir opt | filecheck %s
// RUN: hapir opt %s --print-op-generic | hapir opt | filecheck %s

// Every op and attribute of kernel in its custom syntax.

dataflow.schedule @s network @n machine @m dataflow "weight_stationary" {
  kernel.request "c1" <direct>
  kernel.request "conv*" <direct, "bf16">
  kernel.request "c3" <winograd, {tile = 4 : i64}>
  kernel.request "c4" <direct, "u8_i8", {depth = 3 : i64}> {tiles = #kernel.tiles<filters, 4, [#kernel.register_tile<avx512 : 7 by 4>, #kernel.register_tile<avx2 : 6 by 1>, #kernel.register_tile<neon : 6 by 1>, #kernel.register_tile<c : 2 by 1>]>}
}

// CHECK:      kernel.request "c1" <direct>
// CHECK-NEXT: kernel.request "conv*" <direct, "bf16">
// CHECK-NEXT: kernel.request "c3" <winograd, {tile = 4 : i64}>
// CHECK-NEXT: kernel.request "c4" <direct, "u8_i8", {depth = 3 : i64}> {tiles = #kernel.tiles<filters, 4, [#kernel.register_tile<avx512 : 7 by 4>, #kernel.register_tile<avx2 : 6 by 1>, #kernel.register_tile<neon : 6 by 1>, #kernel.register_tile<c : 2 by 1>]>}

// A schedule without a machine says how the network runs where it is compiled for.
dataflow.schedule @t network @n dataflow "weight_stationary" {
  kernel.request "*" <dsc, {tau = 4 : i64}>
}

// CHECK:      dataflow.schedule @t network @n dataflow "weight_stationary" {
// CHECK-NEXT:   kernel.request "*" <dsc, {tau = 4 : i64}>
