// RUN: hapir opt %s --split-input-file --verify-diagnostics

// Every way in which the elementwise ops and norms beside those of invalid.mlir are refused.


nn.network @n (%x: tensor<1x4x!num.affine<ui8, 0.5 : 3>>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.sigmoid works on f32, got !num.affine<ui8, 0.5 : 3>}}
  %y = nn.sigmoid %x : tensor<1x4x!num.affine<ui8, 0.5 : 3>> -> tensor<1x4x!num.affine<ui8, 0.5 : 3>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.tanh works on f32, got si32}}
  %y = nn.tanh %x : tensor<1x4xsi32> -> tensor<1x4xsi32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.gelu gives tensor<1x4xf32>, the op says tensor<1x5xf32>}}
  %y = nn.gelu %x : tensor<1x4xf32> -> tensor<1x5xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{the slope must be finite, got inf}}
  %y = "nn.leaky_relu"(%x) <{slope = 0x7FF0000000000000 : f64}> : (tensor<1x4xf32>) -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{the offset must be finite, got inf}}
  %y = "nn.hard_sigmoid"(%x) <{slope = 0.2 : f64, offset = 0x7FF0000000000000 : f64}> : (tensor<1x4xf32>) -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.leaky_relu works on f32, got si32}}
  %y = nn.leaky_relu %x slope 0.1 : tensor<1x4xsi32> -> tensor<1x4xsi32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>, %s: tensor<1x3x1x1xf32>) -> () inputs ["x", "s"] results [] {
  // expected-error@+1 {{nn.mul needs equal shapes, or axes of size 1 that repeat, got 1x4x8x8 and 1x3x1x1}}
  %y = nn.mul %x, %s : (tensor<1x4x8x8xf32>, tensor<1x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<2x4xf32>, %s: tensor<3x4xf32>) -> () inputs ["x", "s"] results [] {
  // expected-error@+1 {{nn.mul needs equal shapes, or axes of size 1 that repeat, got 2x4 and 3x4}}
  %y = nn.mul %x, %s : (tensor<2x4xf32>, tensor<3x4xf32>) -> tensor<2x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>, %s: tensor<1x5xf32>) -> () inputs ["x", "s"] results [] {
  // expected-error@+1 {{nn.sub needs equal shapes, or axes of size 1 that repeat, got 1x4 and 1x5}}
  %y = nn.sub %x, %s : (tensor<1x4xf32>, tensor<1x5xf32>) -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>, %s: tensor<1x4xsi32>) -> () inputs ["x", "s"] results [] {
  // expected-error@+1 {{nn.mul works on f32, got si32}}
  %y = nn.mul %x, %s : (tensor<1x4xf32>, tensor<1x4xsi32>) -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>, %g: tensor<4xf32>) -> () inputs ["x", "g"] results [] {
  // expected-error@+1 {{layer_norm of shape 1x4 starts at an axis of 0..1, not 2}}
  %y = nn.layer_norm %x, %g, %g axis 2 epsilon 1.0e-05 : (tensor<1x4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>, %g: tensor<1x4xf32>) -> () inputs ["x", "g"] results [] {
  // expected-error@+1 {{layer_norm of shape 1x4 starts at an axis of 0..1, not -1}}
  %y = nn.layer_norm %x, %g, %g axis -1 epsilon 1.0e-05 : (tensor<1x4xf32>, tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>, %g: tensor<4xf32>) -> () inputs ["x", "g"] results [] {
  // expected-error@+1 {{layer_norm over 8x8 got a parameter of shape 4}}
  %y = nn.layer_norm %x, %g, %g axis 2 epsilon 1.0e-05 : (tensor<1x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>, %g: tensor<4xf32>) -> () inputs ["x", "g"] results [] {
  // expected-error@+1 {{epsilon must be finite and not negative, got -1.0}}
  %y = nn.layer_norm %x, %g, %g axis 1 epsilon -1.0 : (tensor<1x4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{the size must be at least 1, got 0}}
  %y = nn.local_response_norm %x size 0 alpha 0.0001 beta 0.75 bias 1.0 : tensor<1x4x8x8xf32> -> tensor<1x4x8x8xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{alpha must not be negative, bias must be positive and all finite, got -1.0, 1.0 and beta 0.75}}
  %y = nn.local_response_norm %x size 5 alpha -1.0 beta 0.75 bias 1.0 : tensor<1x4x8x8xf32> -> tensor<1x4x8x8xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{alpha must not be negative, bias must be positive and all finite, got 0.0001, 0.0 and beta 0.75}}
  %y = nn.local_response_norm %x size 5 alpha 0.0001 beta 0.75 bias 0.0 : tensor<1x4x8x8xf32> -> tensor<1x4x8x8xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{local_response_norm needs a channel dimension, got shape 4}}
  %y = nn.local_response_norm %x size 5 alpha 0.0001 beta 0.75 bias 1.0 : tensor<4xf32> -> tensor<4xf32>
  nn.return
}
