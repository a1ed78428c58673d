// RUN: hapir opt %s --split-input-file --verify-diagnostics

// Every way in which functions of elements are refused.

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{there is no function `sine`}}
  %y = nn.pointwise sine(%x) : (tensor<1x4xf32>) -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{pow takes 2 operands, got 1}}
  %y = nn.pointwise pow(%x) : (tensor<1x4xf32>) -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{elu has the parameters alpha}}
  %y = nn.pointwise elu(%x) : (tensor<1x4xf32>) -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi8>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{exp takes f32 of one type, got si8}}
  %y = nn.pointwise exp(%x) : (tensor<1x4xsi8>) -> tensor<1x4xsi8>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>, %z: tensor<1x3xf32>) -> () inputs ["x", "z"] results [] {
  // expected-error@+1 {{div needs equal shapes, or axes of size 1 that repeat, got 1x4 and 1x3}}
  %y = nn.pointwise div(%x, %z) : (tensor<1x4xf32>, tensor<1x3xf32>) -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n () -> () inputs [] results [] {
  // expected-error@+1 {{si8 holds -128 to 127, not 128}}
  %y = nn.fill 128 : tensor<si8>
  nn.return
}

// -----

nn.network @n () -> () inputs [] results [] {
  // expected-error@+1 {{f32 is filled with a real number and integers with a whole one, got si8}}
  %y = nn.fill 1.5 : tensor<si8>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x!num.affine<ui8, 0.5 : 0>>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.cast is between f32 and integers}}
  %y = nn.cast %x : tensor<1x4x!num.affine<ui8, 0.5 : 0>> -> tensor<1x4xf32>
  nn.return
}
