// RUN: hapir opt %s --split-input-file --verify-diagnostics

// Every way in which the types and the verifiers of num refuse.


// expected-error@+1 {{storage type i8 does not say its sign: write si8 or ui...}}
"test.op"() : () -> tensor<4x!num.affine<i8, 0.5 : 0>>

// -----

// expected-error@+1 {{storage type i8 does not say its sign}}
"test.op"() : () -> tensor<4x!num.per_channel<i8, 0, "s">>

// -----

// expected-error@+1 {{scale must be positive and finite, got 0.0}}
"test.op"() : () -> tensor<4x!num.affine<si8, 0.0 : 0>>

// -----

// expected-error@+1 {{scale must be positive and finite, got -1.0}}
"test.op"() : () -> tensor<4x!num.affine<si8, -1.0 : 0>>

// -----

// expected-error@+1 {{zero point 128 is outside si8}}
"test.op"() : () -> tensor<4x!num.affine<si8, 0.5 : 128>>

// -----

// expected-error@+1 {{zero point -1 is outside ui8}}
"test.op"() : () -> tensor<4x!num.affine<ui8, 0.5 : -1>>

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{shapes differ: (1, 4) and (1, 5)}}
  %y = num.quantize %x half_even : tensor<1x4xf32> -> tensor<1x5x!num.affine<ui8, 0.5 : 3>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf64>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{quantizes f32, got f64}}
  %y = num.quantize %x half_even : tensor<1x4xf64> -> tensor<1x4x!num.affine<ui8, 0.5 : 3>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{gives a quantized type, got ui8}}
  %y = num.quantize %x half_even : tensor<1x4xf32> -> tensor<1x4xui8>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{scales along axis 2 of a tensor of shape (1, 4)}}
  %y = num.quantize %x floor : tensor<1x4xf32> -> tensor<1x4x!num.per_channel<si8, 2, "s">>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{half_even}}
  %y = num.quantize %x half_down : tensor<1x4xf32> -> tensor<1x4x!num.affine<ui8, 0.5 : 3>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x!num.affine<ui8, 0.5 : 3>>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{shapes differ: (1, 4) and (4,)}}
  %y = num.dequantize %x : tensor<1x4x!num.affine<ui8, 0.5 : 3>> -> tensor<4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi8>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{dequantizes a quantized type, got si8}}
  %y = num.dequantize %x : tensor<1x4xsi8> -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x!num.affine<ui8, 0.5 : 3>>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{gives f32, got f64}}
  %y = num.dequantize %x : tensor<1x4x!num.affine<ui8, 0.5 : 3>> -> tensor<1x4xf64>
  nn.return
}

// -----

nn.network @n (%x: tensor<4x!num.per_channel<si8, 1, "s">>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{scales along axis 1 of a tensor of shape (4,)}}
  %y = num.dequantize %x : tensor<4x!num.per_channel<si8, 1, "s">> -> tensor<4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x!num.affine<ui8, 0.5 : 3>>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{shapes differ: (1, 4) and (1, 5)}}
  %y = num.widen %x by 3 : tensor<1x4x!num.affine<ui8, 0.5 : 3>> -> tensor<1x5xsi32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x!num.per_channel<si8, 0, "s">>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{widens an affine type, got !num.per_channel<si8, 0, "s">}}
  %y = num.widen %x by 3 : tensor<1x4x!num.per_channel<si8, 0, "s">> -> tensor<1x4xsi32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x!num.affine<ui8, 0.5 : 3>>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{gives si32, got si16}}
  %y = num.widen %x by 3 : tensor<1x4x!num.affine<ui8, 0.5 : 3>> -> tensor<1x4xsi16>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x!num.affine<ui8, 0.5 : 3>>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{(q - 3) * 8521761 reaches 2147483772, more than si32 holds}}
  %y = num.widen %x by 8521761 : tensor<1x4x!num.affine<ui8, 0.5 : 3>> -> tensor<1x4xsi32>
  nn.return
}

// -----

nn.network @n (%a: tensor<1x4xsi32>, %m: tensor<4xui16>, %s: tensor<4xui8>) -> () inputs ["a", "m", "s"] results [] {
  // expected-error@+1 {{shapes differ: (1, 4) and (1, 5)}}
  %y = num.requantize %a, %m, %s half_up bounds 0, 255 : tensor<1x4xsi32>, tensor<4xui16>, tensor<4xui8> -> tensor<1x5x!num.affine<ui8, 0.5 : 3>>
  nn.return
}

// -----

nn.network @n (%a: tensor<1x4xsi16>, %m: tensor<4xui16>, %s: tensor<4xui8>) -> () inputs ["a", "m", "s"] results [] {
  // expected-error@+1 {{requantizes si32, got si16}}
  %y = num.requantize %a, %m, %s half_up bounds 0, 255 : tensor<1x4xsi16>, tensor<4xui16>, tensor<4xui8> -> tensor<1x4x!num.affine<ui8, 0.5 : 3>>
  nn.return
}

// -----

nn.network @n (%a: tensor<1x4xsi32>, %m: tensor<4xui16>, %s: tensor<4xui8>) -> () inputs ["a", "m", "s"] results [] {
  // expected-error@+1 {{gives an affine type, got ui8}}
  %y = num.requantize %a, %m, %s half_up bounds 0, 255 : tensor<1x4xsi32>, tensor<4xui16>, tensor<4xui8> -> tensor<1x4xui8>
  nn.return
}

// -----

nn.network @n (%a: tensor<1x4xsi32>, %m: tensor<4xsi16>, %s: tensor<4xui8>) -> () inputs ["a", "m", "s"] results [] {
  // expected-error@+1 {{the multiplier is an unsigned integer, got si16}}
  %y = num.requantize %a, %m, %s half_up bounds 0, 255 : tensor<1x4xsi32>, tensor<4xsi16>, tensor<4xui8> -> tensor<1x4x!num.affine<ui8, 0.5 : 3>>
  nn.return
}

// -----

nn.network @n (%a: tensor<1x4xsi32>, %m: tensor<4xf32>, %s: tensor<4xui8>) -> () inputs ["a", "m", "s"] results [] {
  // expected-error@+1 {{the multiplier is an unsigned integer, got f32}}
  %y = num.requantize %a, %m, %s half_up bounds 0, 255 : tensor<1x4xsi32>, tensor<4xf32>, tensor<4xui8> -> tensor<1x4x!num.affine<ui8, 0.5 : 3>>
  nn.return
}

// -----

nn.network @n (%a: tensor<1x4xsi32>, %m: tensor<4xui33>, %s: tensor<4xui8>) -> () inputs ["a", "m", "s"] results [] {
  // expected-error@+1 {{the multiplier has at most 32 bits, got ui33: the product must fit 64}}
  %y = num.requantize %a, %m, %s half_up bounds 0, 255 : tensor<1x4xsi32>, tensor<4xui33>, tensor<4xui8> -> tensor<1x4x!num.affine<ui8, 0.5 : 3>>
  nn.return
}

// -----

nn.network @n (%a: tensor<1x4xsi32>, %m: tensor<4xui16>, %s: tensor<4xui16>) -> () inputs ["a", "m", "s"] results [] {
  // expected-error@+1 {{the shift is ui8, got ui16}}
  %y = num.requantize %a, %m, %s half_up bounds 0, 255 : tensor<1x4xsi32>, tensor<4xui16>, tensor<4xui16> -> tensor<1x4x!num.affine<ui8, 0.5 : 3>>
  nn.return
}

// -----

nn.network @n (%a: tensor<1x4xsi32>, %m: tensor<3xui16>, %s: tensor<4xui8>) -> () inputs ["a", "m", "s"] results [] {
  // expected-error@+1 {{multiplier has shape (3,), needs (1,) or (4,)}}
  %y = num.requantize %a, %m, %s half_up bounds 0, 255 : tensor<1x4xsi32>, tensor<3xui16>, tensor<4xui8> -> tensor<1x4x!num.affine<ui8, 0.5 : 3>>
  nn.return
}

// -----

nn.network @n (%a: tensor<1x4xsi32>, %m: tensor<4xui16>, %s: tensor<4x1xui8>) -> () inputs ["a", "m", "s"] results [] {
  // expected-error@+1 {{shift has shape (4, 1), needs (1,) or (4,)}}
  %y = num.requantize %a, %m, %s half_up bounds 0, 255 : tensor<1x4xsi32>, tensor<4xui16>, tensor<4x1xui8> -> tensor<1x4x!num.affine<ui8, 0.5 : 3>>
  nn.return
}

// -----

nn.network @n (%a: tensor<1x4xsi32>, %m: tensor<4xui16>, %s: tensor<4xui8>) -> () inputs ["a", "m", "s"] results [] {
  // expected-error@+1 {{bounds 0..256 do not lie in ui8 (0..255)}}
  %y = num.requantize %a, %m, %s half_up bounds 0, 256 : tensor<1x4xsi32>, tensor<4xui16>, tensor<4xui8> -> tensor<1x4x!num.affine<ui8, 0.5 : 3>>
  nn.return
}

// -----

nn.network @n (%a: tensor<1x4xsi32>, %m: tensor<4xui16>, %s: tensor<4xui8>) -> () inputs ["a", "m", "s"] results [] {
  // expected-error@+1 {{bounds -1..255 do not lie in ui8 (0..255)}}
  %y = num.requantize %a, %m, %s half_up bounds -1, 255 : tensor<1x4xsi32>, tensor<4xui16>, tensor<4xui8> -> tensor<1x4x!num.affine<ui8, 0.5 : 3>>
  nn.return
}

// -----

nn.network @n (%a: tensor<1x4xsi32>, %m: tensor<4xui16>, %s: tensor<4xui8>) -> () inputs ["a", "m", "s"] results [] {
  // expected-error@+1 {{bounds 9..8 do not lie in ui8 (0..255)}}
  %y = num.requantize %a, %m, %s half_up bounds 9, 8 : tensor<1x4xsi32>, tensor<4xui16>, tensor<4xui8> -> tensor<1x4x!num.affine<ui8, 0.5 : 3>>
  nn.return
}

// -----

// expected-error@+1 {{bipolar numbers have 1 to 31 bits, got 0}}
"test.op"() : () -> tensor<4x!num.affine<!num.bipolar<0>, 0.5 : 0>>

// -----

// expected-error@+1 {{zero point 2 is outside !num.bipolar<1>}}
"test.op"() : () -> tensor<4x!num.affine<!num.bipolar<1>, 0.5 : 2>>

// -----

// expected-error@+1 {{f32 is no set of integers}}
"test.op"() : () -> tensor<4x!num.scaled<f32, "s">>

// -----

// expected-error@+1 {{indices are ui1 to ui16, got si4}}
"test.op"() : () -> tensor<4x!num.codebook<si4, "s">>

// -----

// expected-error@+1 {{there are 1 to 16 planes, got 17}}
"test.op"() : () -> tensor<4x!num.planes<17, "s">>

// -----

nn.network @n (%x: tensor<1x4xsi16>) -> () inputs ["x"] results [] {
  %s = nn.weight "s" : tensor<4xf32>
  // expected-error@+1 {{rescales si32, got si16}}
  %y = num.rescale %x, %s half_even bounds 0, 255 : tensor<1x4xsi16>, tensor<4xf32> -> tensor<1x4x!num.affine<ui8, 0.5 : 0>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi32>) -> () inputs ["x"] results [] {
  %s = nn.weight "s" : tensor<3xf32>
  // expected-error@+1 {{needs f32 of shape (1,) or (4,)}}
  %y = num.rescale %x, %s half_even bounds 0, 255 : tensor<1x4xsi32>, tensor<3xf32> -> tensor<1x4x!num.affine<ui8, 0.5 : 0>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi32>) -> () inputs ["x"] results [] {
  %s = nn.weight "s" : tensor<1xf32>
  // expected-error@+1 {{bounds 0..256 do not lie in ui8 (0..255)}}
  %y = num.rescale %x, %s half_even bounds 0, 256 : tensor<1x4xsi32>, tensor<1xf32> -> tensor<1x4x!num.affine<ui8, 0.5 : 0>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi32>) -> () inputs ["x"] results [] {
  %s = nn.weight "s" : tensor<1xf32>
  // expected-error@+1 {{gives an affine type, got ui8}}
  %y = num.rescale %x, %s half_even bounds 0, 25 : tensor<1x4xsi32>, tensor<1xf32> -> tensor<1x4xui8>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi32>) -> () inputs ["x"] results [] {
  %s = nn.weight "s" : tensor<1xf32>
  // expected-error@+1 {{shapes differ: (1, 4) and (1, 5)}}
  %y = num.rescale %x, %s half_even bounds 0, 25 : tensor<1x4xsi32>, tensor<1xf32> -> tensor<1x5x!num.affine<ui8, 0.5 : 0>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x!num.affine<si8, 0.5 : 0>>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{(q - 0) * 16777216 reaches 2147483648, more than si32 holds}}
  %y = num.widen %x by 16777216 : tensor<1x4x!num.affine<si8, 0.5 : 0>> -> tensor<1x4xsi32>
  nn.return
}

// -----

// expected-error@+1 {{indices are ui1 to ui16, got ui17}}
"test.op"() : () -> tensor<4x!num.codebook<ui17, "s">>
