// RUN: hapir opt %s --split-input-file --verify-diagnostics

// Every way in which the verifiers of kernel refuse.

dataflow.schedule @s network @n machine @m dataflow "weight_stationary" {
  // expected-error@+1 {{an algorithm is one of direct, winograd, sparse, ras, dsc, not fft}}
  kernel.request "c1" <fft>
}

// -----

dataflow.schedule @s network @n machine @m dataflow "weight_stationary" {
  // expected-error@+1 {{a SIMD path is one of avx512, avx2, neon, c, not sse}}
  kernel.request "c1" <direct> {tiles = #kernel.register_tile<sse : 4 by 1>}
}

// -----

dataflow.schedule @s network @n machine @m dataflow "weight_stationary" {
  // expected-error@+1 {{a register block has pixels and vectors, got 0 by 1}}
  kernel.request "c1" <direct> {tiles = #kernel.register_tile<avx2 : 0 by 1>}
}

// -----

dataflow.schedule @s network @n machine @m dataflow "weight_stationary" {
  // expected-error@+1 {{the outermost loop runs over filters or rows, not pixels}}
  kernel.request "c1" <direct> {tiles = #kernel.tiles<pixels, 1, []>}
}

// -----

dataflow.schedule @s network @n machine @m dataflow "weight_stationary" {
  // expected-error@+1 {{there is one register block per path, in this order: avx512, avx2, neon, c}}
  kernel.request "c1" <direct> {tiles = #kernel.tiles<rows, 1, [#kernel.register_tile<c : 1 by 1>]>}
}

// -----

dataflow.schedule @s network @n machine @m dataflow "weight_stationary" {
  // expected-error@+1 {{weights are packed for 4 vectors, which 3 do not divide}}
  kernel.request "c1" <direct> {tiles = #kernel.tiles<rows, 4, [#kernel.register_tile<avx512 : 7 by 3>, #kernel.register_tile<avx2 : 6 by 1>, #kernel.register_tile<neon : 6 by 1>, #kernel.register_tile<c : 2 by 1>]>}
}

// -----

// expected-error@+1 {{'kernel.request' expects parent op 'dataflow.schedule'}}
kernel.request "c1" <direct>
