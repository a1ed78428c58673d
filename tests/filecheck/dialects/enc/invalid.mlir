// RUN: hapir opt %s --split-input-file --verify-diagnostics

// Every way in which the verifier of enc refuses.

%0 = "test.op"() : () -> tensor<9xui8>
// expected-error@+1 {{there is no encoding `dens`}}
%1 = enc.decode "dens(width = 2)" (%0) : (tensor<9xui8>) -> tensor<4x9x!num.ternary>

// -----

%0 = "test.op"() : () -> tensor<9xui8>
// expected-error@+1 {{every option of `dense` must be chosen, none can be auto}}
%1 = enc.decode "dense" (%0) : (tensor<9xui8>) -> tensor<4x9x!num.ternary>

// -----

%0 = "test.op"() : () -> tensor<9xui8>
// expected-error@+1 {{every option of `smallest` must be chosen, none can be auto}}
%1 = enc.decode "smallest" (%0) : (tensor<9xui8>) -> tensor<4x9x!num.ternary>

// -----

%0 = "test.op"() : () -> tensor<9xui8>
// expected-error@+1 {{`trits` has the parts levels, trits; 1 are given}}
%1 = enc.decode "trits(levels = 3)" (%0) : (tensor<9xui8>) -> tensor<4x9x!num.ternary>

// -----

%0 = "test.op"() : () -> tensor<9xsi8>
// expected-error@+1 {{a part is a tensor<Nxui8>, got tensor<9xsi8>}}
%1 = enc.decode "dense(width = 2)" (%0) : (tensor<9xsi8>) -> tensor<4x9x!num.ternary>

// -----

%0 = "test.op"() : () -> tensor<3x3xui8>
// expected-error@+1 {{a part is a tensor<Nxui8>, got tensor<3x3xui8>}}
%1 = enc.decode "dense(width = 2)" (%0) : (tensor<3x3xui8>) -> tensor<4x9x!num.ternary>

// -----

%0 = "test.op"() : () -> tensor<9xui8>
// expected-error@+1 {{`rle` leaves out zeros and needs `zero`}}
%1 = enc.decode "rle(gap_bits = 4, levels = 2)" (%0, %0) : (tensor<9xui8>, tensor<9xui8>) -> tensor<4x9x!num.ternary>

// -----

%0 = "test.op"() : () -> tensor<9xui8>
// expected-error@+1 {{a symbol of 2 bits cannot be 4}}
%1 = enc.decode "dense(width = 2)" zero 4 (%0) : (tensor<9xui8>) -> tensor<4x9x!num.ternary>

// -----

%0 = "test.op"() : () -> tensor<9xui8>
// expected-error@+1 {{decoded elements are codes or f32, got f64}}
%1 = enc.decode "dense(width = 2)" (%0) : (tensor<9xui8>) -> tensor<4x9xf64>
