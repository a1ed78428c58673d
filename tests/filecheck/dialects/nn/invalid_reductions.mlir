// RUN: hapir opt %s --split-input-file --verify-diagnostics

// Every way in which reductions are refused.

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.reduce joins by sum, mean, max, min, product, not median}}
  %y = nn.reduce median %x axes [1] : tensor<1x4xf32> -> tensor<1xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi8>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{means are of f32, got si8}}
  %y = nn.reduce mean %x axes [1] : tensor<1x4xsi8> -> tensor<1xsi8>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{the axes of 1x4 are 0..1, each once and in order, got [1, 0]}}
  %y = nn.reduce sum %x axes [1, 0] : tensor<1x4xf32> -> tensor<f32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x!num.affine<ui8, 0.5 : 0>>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.reduce works on f32 or integers, got !num.affine<ui8, 0.5 : 0>}}
  %y = nn.reduce sum %x axes [1] : tensor<1x4x!num.affine<ui8, 0.5 : 0>> -> tensor<1xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.softmax of 1x4 has no axis 2}}
  %y = nn.softmax %x axis 2 : tensor<1x4xf32> -> tensor<1x4xf32>
  nn.return
}
