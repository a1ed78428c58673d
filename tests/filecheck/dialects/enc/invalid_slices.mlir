// RUN: hapir opt %s --split-input-file --verify-diagnostics

// Every way in which the verifiers of generators refuse.

%0, %1 = "test.op"() : () -> (tensor<4x3xf32>, tensor<16x3xf32>)
// expected-error@+1 {{the codes must be tensor<6x3xf32>, got tensor<4x3xf32>}}
%2 = enc.csg_generate %0, %1 slice [2, 2, 2, 2] : (tensor<4x3xf32>, tensor<16x3xf32>) -> tensor<4x6x2x2xf32>

// -----

%0, %1 = "test.op"() : () -> (tensor<4x3xf32>, tensor<16x4xf32>)
// expected-error@+1 {{the matrix must be tensor<16x3xf32>, got tensor<16x4xf32>}}
%2 = enc.csg_generate %0, %1 slice [2, 2, 2, 2] : (tensor<4x3xf32>, tensor<16x4xf32>) -> tensor<4x4x2x2xf32>

// -----

%0, %1 = "test.op"() : () -> (tensor<4x3xf32>, tensor<16x3xf32>)
// expected-error@+1 {{a bank of (4, 4) has no slices of (2, 2, 2, 2)}}
%2 = enc.csg_generate %0, %1 slice [2, 2, 2, 2] : (tensor<4x3xf32>, tensor<16x3xf32>) -> tensor<4x4xf32>

// -----

%0, %1 = "test.op"() : () -> (tensor<4x3xf32>, tensor<0x3xf32>)
// expected-error@+1 {{has no slices of (2, 2, 0, 2)}}
%2 = enc.csg_generate %0, %1 slice [2, 2, 0, 2] : (tensor<4x3xf32>, tensor<0x3xf32>) -> tensor<4x4x2x2xf32>

// -----

%0, %1 = "test.op"() : () -> (tensor<4x3xf32>, tensor<16x3xf32>)
// expected-error@+1 {{the result must be tensor<4x4x2x2xf32>, got tensor<4x4x2x2xsi8>}}
%2 = enc.csg_generate %0, %1 slice [2, 2, 2, 2] : (tensor<4x3xf32>, tensor<16x3xf32>) -> tensor<4x4x2x2xsi8>

// -----

%0, %1 = "test.op"() : () -> (tensor<4x1xui16>, tensor<2xui16>)
// expected-error@+1 {{the codes must be tensor<4x2xui16>, got tensor<4x1xui16>}}
%2 = enc.bsg_generate %0, %1 length 24 slice [4, 4] scale 1.0 polarity "xnor" : (tensor<4x1xui16>, tensor<2xui16>) -> tensor<8x8xf32>

// -----

%0, %1 = "test.op"() : () -> (tensor<4x2xui16>, tensor<3xui16>)
// expected-error@+1 {{the vector must be tensor<2xui16>, got tensor<3xui16>}}
%2 = enc.bsg_generate %0, %1 length 24 slice [4, 4] scale 1.0 polarity "xnor" : (tensor<4x2xui16>, tensor<3xui16>) -> tensor<8x8xf32>

// -----

%0, %1 = "test.op"() : () -> (tensor<4x2xui16>, tensor<2xui16>)
// expected-error@+1 {{a code has at least one bit, got length 0}}
%2 = enc.bsg_generate %0, %1 length 0 slice [4, 4] scale 1.0 polarity "xnor" : (tensor<4x2xui16>, tensor<2xui16>) -> tensor<8x8xf32>

// -----

%0, %1 = "test.op"() : () -> (tensor<4x2xui16>, tensor<2xui16>)
// expected-error@+1 {{the scale is finite and not negative, got -1.0}}
%2 = enc.bsg_generate %0, %1 length 24 slice [4, 4] scale -1.0 polarity "xnor" : (tensor<4x2xui16>, tensor<2xui16>) -> tensor<8x8xf32>

// -----

%0, %1 = "test.op"() : () -> (tensor<4x2xui16>, tensor<2xui16>)
// expected-error@+1 {{the polarity is "xnor" or "xor", got "nor"}}
%2 = enc.bsg_generate %0, %1 length 24 slice [4, 4] scale 1.0 polarity "nor" : (tensor<4x2xui16>, tensor<2xui16>) -> tensor<8x8xf32>
