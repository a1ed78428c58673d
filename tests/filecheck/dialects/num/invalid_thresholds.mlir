// RUN: hapir opt %s --split-input-file --verify-diagnostics

// Every way in which thresholds and views are refused, and what bipolar codes cannot go through.

nn.network @n (%x: tensor<1x4xsi32>) -> () inputs ["x"] results [] {
  %t = nn.weight "t" : tensor<4x1xsi10>
  %f = nn.weight "f" : tensor<4xui1>
  // expected-error@+1 {{shapes differ: (1, 4) and (1, 5)}}
  %y = num.threshold %x, %t, %f from -1 : tensor<1x4xsi32>, tensor<4x1xsi10>, tensor<4xui1> -> tensor<1x5x!num.affine<!num.bipolar<1>, 1.0 : 0>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  %t = nn.weight "t" : tensor<4x1xsi10>
  %f = nn.weight "f" : tensor<4xui1>
  // expected-error@+1 {{compares integers that si32 holds, got f32}}
  %y = num.threshold %x, %t, %f from -1 : tensor<1x4xf32>, tensor<4x1xsi10>, tensor<4xui1> -> tensor<1x4x!num.affine<!num.bipolar<1>, 1.0 : 0>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xui32>) -> () inputs ["x"] results [] {
  %t = nn.weight "t" : tensor<4x1xsi10>
  %f = nn.weight "f" : tensor<4xui1>
  // expected-error@+1 {{compares integers that si32 holds, got ui32}}
  %y = num.threshold %x, %t, %f from -1 : tensor<1x4xui32>, tensor<4x1xsi10>, tensor<4xui1> -> tensor<1x4x!num.affine<!num.bipolar<1>, 1.0 : 0>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi32>) -> () inputs ["x"] results [] {
  %t = nn.weight "t" : tensor<4x1xsi10>
  %f = nn.weight "f" : tensor<4xui1>
  // expected-error@+1 {{gives an affine type, got f32}}
  %y = num.threshold %x, %t, %f from -1 : tensor<1x4xsi32>, tensor<4x1xsi10>, tensor<4xui1> -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi32>) -> () inputs ["x"] results [] {
  %t = nn.weight "t" : tensor<4x1xui8>
  %f = nn.weight "f" : tensor<4xui1>
  // expected-error@+1 {{thresholds are signed integers of at most 32 bits, got ui8}}
  %y = num.threshold %x, %t, %f from -1 : tensor<1x4xsi32>, tensor<4x1xui8>, tensor<4xui1> -> tensor<1x4x!num.affine<!num.bipolar<1>, 1.0 : 0>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi32>) -> () inputs ["x"] results [] {
  %t = nn.weight "t" : tensor<3x1xsi8>
  %f = nn.weight "f" : tensor<3xui1>
  // expected-error@+1 {{thresholds have shape (3, 1), needs (1, L) or (4, L)}}
  %y = num.threshold %x, %t, %f from -1 : tensor<1x4xsi32>, tensor<3x1xsi8>, tensor<3xui1> -> tensor<1x4x!num.affine<!num.bipolar<1>, 1.0 : 0>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi32>) -> () inputs ["x"] results [] {
  %t = nn.weight "t" : tensor<4xsi8>
  %f = nn.weight "f" : tensor<4xui1>
  // expected-error@+1 {{thresholds have shape (4,), needs (1, L) or (4, L)}}
  %y = num.threshold %x, %t, %f from -1 : tensor<1x4xsi32>, tensor<4xsi8>, tensor<4xui1> -> tensor<1x4x!num.affine<!num.bipolar<1>, 1.0 : 0>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi32>) -> () inputs ["x"] results [] {
  %t = nn.weight "t" : tensor<4x1xsi8>
  %f = nn.weight "f" : tensor<1xui1>
  // expected-error@+1 {{flips are tensor<1xui1>, needs tensor<4xui1>}}
  %y = num.threshold %x, %t, %f from -1 : tensor<1x4xsi32>, tensor<4x1xsi8>, tensor<1xui1> -> tensor<1x4x!num.affine<!num.bipolar<1>, 1.0 : 0>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi32>) -> () inputs ["x"] results [] {
  %t = nn.weight "t" : tensor<4x3xsi8>
  %f = nn.weight "f" : tensor<4xui1>
  // expected-error@+1 {{3 thresholds from 1 reach 4, ui2 has 0..3}}
  %y = num.threshold %x, %t, %f from 1 : tensor<1x4xsi32>, tensor<4x3xsi8>, tensor<4xui1> -> tensor<1x4x!num.affine<ui2, 1.0 : 0>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi32>) -> () inputs ["x"] results [] {
  %t = nn.weight "t" : tensor<4x2xsi8>
  %f = nn.weight "f" : tensor<4xui1>
  // expected-error@+1 {{2 thresholds from -1 reach 3, !num.bipolar<1> has -1..1}}
  %y = num.threshold %x, %t, %f from -1 : tensor<1x4xsi32>, tensor<4x2xsi8>, tensor<4xui1> -> tensor<1x4x!num.affine<!num.bipolar<1>, 1.0 : 0>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi32>) -> () inputs ["x"] results [] {
  %t = nn.weight "t" : tensor<4x1xsi8>
  %f = nn.weight "f" : tensor<4xui1>
  // expected-error@+1 {{bipolar codes are odd, and they begin at -2}}
  %y = num.threshold %x, %t, %f from -2 : tensor<1x4xsi32>, tensor<4x1xsi8>, tensor<4xui1> -> tensor<1x4x!num.affine<!num.bipolar<2>, 1.0 : 0>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{shapes differ: (1, 4) and (1, 5)}}
  %y = num.view %x : tensor<1x4xsi32> -> tensor<1x5x!num.per_channel<si32, 1, "s">>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{gives a quantized type or integers, got f32}}
  %y = num.view %x : tensor<1x4xsi32> -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{does not hold all integers of si32 as they lie in memory}}
  %y = num.view %x : tensor<1x4xsi32> -> tensor<1x4x!num.per_channel<si16, 1, "s">>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x!num.affine<si2, 1.0 : 0>>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{does not hold all integers of !num.affine<si2, 1.0 : 0> as they lie in memory}}
  %y = num.view %x : tensor<1x4x!num.affine<si2, 1.0 : 0>> -> tensor<1x4x!num.affine<!num.bipolar<1>, 1.0 : 0>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{!num.per_channel<si32, 2, "s"> scales along axis 2 of a tensor of shape (1, 4)}}
  %y = num.view %x : tensor<1x4xsi32> -> tensor<1x4x!num.per_channel<si32, 2, "s">>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x!num.affine<!num.bipolar<1>, 1.0 : 0>>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.relu may give 0, and !num.bipolar<1> has odd numbers only}}
  %y = nn.relu %x : tensor<1x4x!num.affine<!num.bipolar<1>, 1.0 : 0>> -> tensor<1x4x!num.affine<!num.bipolar<1>, 1.0 : 0>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x!num.affine<!num.bipolar<1>, 1.0 : 0>>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.clip may give 0, and !num.bipolar<1> has odd numbers only}}
  %y = nn.clip %x from 0.0 to 1.0 : tensor<1x4x!num.affine<!num.bipolar<1>, 1.0 : 0>> -> tensor<1x4x!num.affine<!num.bipolar<1>, 1.0 : 0>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x2x2x!num.affine<!num.bipolar<1>, 1.0 : 0>>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.pad may give 0, and !num.bipolar<1> has odd numbers only}}
  %y = nn.pad %x before [0, 0, 1, 1] after [0, 0, 1, 1] constant value 0.0 : tensor<1x4x2x2x!num.affine<!num.bipolar<1>, 1.0 : 0>> -> tensor<1x4x4x4x!num.affine<!num.bipolar<1>, 1.0 : 0>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x!num.affine<!num.ternary, 1.0 : 0>>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{does not hold all integers of !num.affine<!num.ternary, 1.0 : 0> as they lie in memory}}
  %y = num.view %x : tensor<1x4x!num.affine<!num.ternary, 1.0 : 0>> -> tensor<1x4x!num.affine<!num.bipolar<1>, 1.0 : 0>>
  nn.return
}
