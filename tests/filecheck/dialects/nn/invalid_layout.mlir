// RUN: hapir opt %s --split-input-file --verify-diagnostics

// Every way in which the ops that move data are refused.


nn.network @n (%x: tensor<1x4x8x8xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{the sizes [1, 3] must be at least 1 and add up to the 1 of axis 0}}
  %a, %b = nn.split %x axis 0 into [1, 3] : (tensor<1x4x8x8xf32>) -> (tensor<1x1x8x8xf32>, tensor<1x3x8x8xf32>)
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{axis 4 is outside 0..3}}
  %a, %b = nn.split %x axis 4 into [1, 3] : (tensor<1x4x8x8xf32>) -> (tensor<1x1x8x8xf32>, tensor<1x3x8x8xf32>)
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{the sizes [1, 2] must be at least 1 and add up to the 4 of axis 1}}
  %a, %b = nn.split %x axis 1 into [1, 2] : (tensor<1x4x8x8xf32>) -> (tensor<1x1x8x8xf32>, tensor<1x3x8x8xf32>)
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{the sizes [0, 4] must be at least 1 and add up to the 4 of axis 1}}
  %a, %b = nn.split %x axis 1 into [0, 4] : (tensor<1x4x8x8xf32>) -> (tensor<1x1x8x8xf32>, tensor<1x3x8x8xf32>)
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.split gives tensor<1x1x8x8xf32>, tensor<1x3x8x8xf32>, the op says tensor<1x3x8x8xf32>, tensor<1x1x8x8xf32>}}
  %a, %b = nn.split %x axis 1 into [1, 3] : (tensor<1x4x8x8xf32>) -> (tensor<1x3x8x8xf32>, tensor<1x1x8x8xf32>)
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.split gives tensor<1x4x8x8xf32>, the op says tensor<1x1x8x8xf32>, tensor<1x3x8x8xf32>}}
  %a, %b = nn.split %x axis 1 into [4] : (tensor<1x4x8x8xf32>) -> (tensor<1x1x8x8xf32>, tensor<1x3x8x8xf32>)
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{the sizes [] must be at least 1}}
  "nn.split"(%x) <{axis = 1 : i64, pieces = []}> : (tensor<1x4x8x8xf32>) -> ()
  nn.return
}

// -----

nn.network @n (%x: tensor<2x4x!num.per_channel<si8, 0, "w.scale">>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.split works on f32, an affine type or integers}}
  %a = nn.split %x axis 1 into [4] : (tensor<2x4x!num.per_channel<si8, 0, "w.scale">>) -> tensor<2x4x!num.per_channel<si8, 0, "w.scale">>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{4x8x8 has 256 elements, 16x8 has 128}}
  %y = nn.reshape %x to [16, 8] : tensor<1x4x8x8xf32> -> tensor<1x16x8xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{reshape gives sizes of at least 1, got [0, 4] for 1x4x8x8}}
  %y = nn.reshape %x to [0, 4] : tensor<1x4x8x8xf32> -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x1xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{reshape of 1x1 starts at an axis of 0..2, not 3}}
  %y = nn.reshape %x to [] from 3 : tensor<1x1xf32> -> tensor<1xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{the axes of 1x4x8x8 are a permutation of 0..3, not [0, 1, 1, 3]}}
  %y = nn.transpose %x axes [0, 1, 1, 3] : tensor<1x4x8x8xf32> -> tensor<1x4x8x8xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{the axes of 1x4x8x8 are a permutation of 0..3, not [0, 2, 1]}}
  %y = nn.transpose %x axes [0, 2, 1] : tensor<1x4x8x8xf32> -> tensor<1x4x8x8xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{1x4x8x8 needs one padding per axis, got [0, 0] before and [0, 0, 0, 0] after}}
  %y = nn.pad %x before [0, 0] after [0, 0, 0, 0] constant value 0.0 : tensor<1x4x8x8xf32> -> tensor<1x4x8x8xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{axis 0 of size 1 cannot reflect 1 elements}}
  %y = nn.pad %x before [1, 0, 0, 0] after [0, 0, 0, 0] reflect value 0.0 : tensor<1x4x8x8xf32> -> tensor<1x4x8x8xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{padding is not negative, got [0, 0, -1, 0] and [0, 0, 1, 0]}}
  %y = nn.pad %x before [0, 0, -1, 0] after [0, 0, 1, 0] constant value 0.0 : tensor<1x4x8x8xf32> -> tensor<1x4x8x8xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{axis 2 of size 8 cannot reflect 8 elements}}
  %y = nn.pad %x before [0, 0, 8, 0] after [0, 0, 0, 0] reflect value 0.0 : tensor<1x4x8x8xf32> -> tensor<1x4x8x8xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{Expected `constant`, `edge`, `reflect`, or `wrap`}}
  %y = nn.pad %x before [0, 0, 0, 0] after [0, 0, 0, 0] mirror value 0.0 : tensor<1x4x8x8xf32> -> tensor<1x4x8x8xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{si32 cannot be padded with 0.5}}
  %y = nn.pad %x before [0, 0] after [0, 0] constant value 0.5 : tensor<1x4xsi32> -> tensor<1x4xsi32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xui8>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{ui8 cannot be padded with -1.0}}
  %y = nn.pad %x before [0, 0] after [0, 0] constant value -1.0 : tensor<1x4xui8> -> tensor<1x4xui8>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{the value of padding must be finite, got inf}}
  %y = "nn.pad"(%x) <{before = [#builtin.int<0>, #builtin.int<0>], after = [#builtin.int<0>, #builtin.int<0>], mode = #nn<pad_mode constant>, value = 0x7FF0000000000000 : f64}> : (tensor<1x4xf32>) -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{resize needs a map N x C x H x W, got shape 1x4}}
  %y = nn.resize %x to 2 x 2 nearest : tensor<1x4xf32> -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{resize gives at least one row and column, got 0x2}}
  %y = nn.resize %x to 0 x 2 nearest : tensor<1x4x8x8xf32> -> tensor<1x4x8x8xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8x!num.affine<ui8, 0.5 : 3>>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.resize works on f32, got !num.affine<ui8, 0.5 : 3>}}
  %y = nn.resize %x to 8 x 8 bilinear : tensor<1x4x8x8x!num.affine<ui8, 0.5 : 3>> -> tensor<1x4x8x8x!num.affine<ui8, 0.5 : 3>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>, %t: tensor<7xsi32>) -> () inputs ["x", "t"] results [] {
  // expected-error@+1 {{the window of nn.gather_taps has no padding: put an nn.pad before it}}
  %a = nn.gather_taps %x, %t window <3x3, pad 1 1 1 1> : (tensor<1x4x8x8xf32>, tensor<7xsi32>) -> tensor<1x7x8x8xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>, %t: tensor<7xf32>) -> () inputs ["x", "t"] results [] {
  // expected-error@+1 {{taps are a list of integers, at least one, got tensor<7xf32>}}
  %a = nn.gather_taps %x, %t window <3x3> : (tensor<1x4x8x8xf32>, tensor<7xf32>) -> tensor<1x7x6x6xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x2x8xf32>, %t: tensor<7xsi32>) -> () inputs ["x", "t"] results [] {
  // expected-error@+1 {{the window spans 3x3 but the padded map is only 2x8}}
  %a = nn.gather_taps %x, %t window <3x3> : (tensor<1x4x2x8xf32>, tensor<7xsi32>) -> tensor<1x7x1x6xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x2x8xf32>, %t: tensor<7xsi32>) -> () inputs ["x", "t"] results [] {
  // expected-error@+1 {{taps are gathered from a map, a sequence or a vector, got shape 1x2x4x2x8}}
  %a = nn.gather_taps %x, %t window <3x3> : (tensor<1x2x4x2x8xf32>, tensor<7xsi32>) -> tensor<1x7x1x6xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<f32>, %y: tensor<f32>) -> () inputs ["x", "y"] results [] {
  // expected-error@+1 {{a scalar has no axis}}
  %a = nn.concat %x, %y axis 0 : (tensor<f32>, tensor<f32>) -> tensor<2xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<2x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{2x4 needs one start, size and step per axis, got [0], [2] and [1]}}
  %y = nn.slice %x from [0] take [2] by [1] : tensor<2x4xf32> -> tensor<2xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<2x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{a slice from 3 to -1 leaves axis 1 of size 4}}
  %y = nn.slice %x from [0, 3] take [2, 3] by [1, -2] : tensor<2x4xf32> -> tensor<2x3xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<2x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{a slice has a size of at least 1 and a step that is not 0, got 2 and 0}}
  %y = nn.slice %x from [0, 3] take [2, 2] by [1, 0] : tensor<2x4xf32> -> tensor<2x2xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<2x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{2x4 needs one number of repeats per axis, each at least 1, got [2, 0]}}
  %y = nn.tile %x repeats [2, 0] : tensor<2x4xf32> -> tensor<4x0xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<2x4xf32>, %i: tensor<3xf32>) -> () inputs ["x", "i"] results [] {
  // expected-error@+1 {{the indices of nn.gather are integers, got tensor<3xf32>}}
  %y = nn.gather %x, %i axis 1 : (tensor<2x4xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<2x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{resample needs one size for each of its axes, got [5, 5] for [1]}}
  %y = nn.resample %x axes [1] to [5, 5] linear at half_pixel : tensor<2x4xf32> -> tensor<2x5xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<2x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{resample gives sizes of at least 1, got [0]}}
  %y = nn.resample %x axes [1] to [0] linear at half_pixel : tensor<2x4xf32> -> tensor<2x0xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<2x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.resample along 1 axes needs 2 region, got 1}}
  %y = nn.resample %x axes [1] to [5] linear at crop region [0.5] : tensor<2x4xf32> -> tensor<2x5xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<2x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{the scales of nn.resample must be positive and finite, got [-1.0]}}
  %y = nn.resample %x axes [1] to [5] scales [-1.0] linear at half_pixel : tensor<2x4xf32> -> tensor<2x5xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<2x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{the numbers of nn.resample must be finite}}
  %y = "nn.resample"(%x) <{axes = [#builtin.int<1>], sizes = [#builtin.int<5>], mode = #nn<sample_mode linear>, coordinates = #nn<coordinates crop>, outside = 0x7FF0000000000000 : f64}> : (tensor<2x4xf32>) -> tensor<2x5xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<2x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.resample has no antialiasing of the nearest element}}
  %y = nn.resample %x axes [1] to [3] nearest at half_pixel antialias : tensor<2x4xf32> -> tensor<2x3xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<2x4xsi8>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.resample works on f32, got si8}}
  %y = nn.resample %x axes [1] to [5] cubic at half_pixel : tensor<2x4xsi8> -> tensor<2x5xsi8>
  nn.return
}

// -----

nn.network @n (%x: tensor<2x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.resample at asymmetric has no region, only at crop}}
  %y = nn.resample %x axes [1] to [5] linear at asymmetric region [0.5, 1.0] : tensor<2x4xf32> -> tensor<2x5xf32>
  nn.return
}
