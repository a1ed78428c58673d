// RUN: hapir opt %s --split-input-file --verify-diagnostics

// Every way in which conv1d, transposed_conv2d, matmul, pools of sequences and recurrent layers are refused.


nn.network @n (%x: tensor<1x4x8x8xf32>, %w: tensor<8x4x3xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{conv1d needs a sequence N x C x L, got shape 1x4x8x8}}
  %y = nn.conv1d %x, %w window <1x3> groups 1 : (tensor<1x4x8x8xf32>, tensor<8x4x3xf32>) -> tensor<1x8x14xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x16xf32>, %w: tensor<8x4x3x1xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{conv1d weights need shape K x C/G x S, got 8x4x3x1}}
  %y = nn.conv1d %x, %w window <1x3> groups 1 : (tensor<1x4x16xf32>, tensor<8x4x3x1xf32>) -> tensor<1x8x14xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x16xf32>, %w: tensor<8x4x3xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{conv1d slides along one axis: its window has one row, stride 1 and no padding there}}
  %y = nn.conv1d %x, %w window <3x3> groups 1 : (tensor<1x4x16xf32>, tensor<8x4x3xf32>) -> tensor<1x8x14xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x16xf32>, %w: tensor<8x4x3xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{conv1d slides along one axis}}
  %y = nn.conv1d %x, %w window <1x3, pad 1 0 0 0> groups 1 : (tensor<1x4x16xf32>, tensor<8x4x3xf32>) -> tensor<1x8x14xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x16xf32>, %w: tensor<8x4x3xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{3 groups must divide both 4 input and 8 output channels}}
  %y = nn.conv1d %x, %w window <1x3> groups 3 : (tensor<1x4x16xf32>, tensor<8x4x3xf32>) -> tensor<1x8x14xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x16xf32>, %w: tensor<8x4x3xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{the input has 4 channels, the weights expect 8}}
  %y = nn.conv1d %x, %w window <1x3> groups 2 : (tensor<1x4x16xf32>, tensor<8x4x3xf32>) -> tensor<1x8x14xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x16xf32>, %w: tensor<8x4x3xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{the weights are 1x3, the window says 1x2}}
  %y = nn.conv1d %x, %w window <1x2> groups 1 : (tensor<1x4x16xf32>, tensor<8x4x3xf32>) -> tensor<1x8x14xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x16xf32>, %w: tensor<8x4x3xf32>, %b: tensor<4xf32>) -> () inputs ["x", "w", "b"] results [] {
  // expected-error@+1 {{the bias has shape 4, needs 8}}
  %y = nn.conv1d %x, %w bias %b window <1x3> groups 1 : (tensor<1x4x16xf32>, tensor<8x4x3xf32>, tensor<4xf32>) -> tensor<1x8x14xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x16xf32>, %w: tensor<8x4x18xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{the window spans 1x18 but the padded map is only 1x16}}
  %y = nn.conv1d %x, %w window <1x18> groups 1 : (tensor<1x4x16xf32>, tensor<8x4x18xf32>) -> tensor<1x8x14xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x16xf32>, %w: tensor<8x4x3x!num.per_channel<si8, 0, "w.scale">>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{cannot multiply f32 by !num.per_channel<si8, 0, "w.scale">: both f32, or both quantized}}
  %y = nn.conv1d %x, %w window <1x3> groups 1 : (tensor<1x4x16xf32>, tensor<8x4x3x!num.per_channel<si8, 0, "w.scale">>) -> tensor<1x8x14xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x16xf32>, %w: tensor<4x3x2x2xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{transposed_conv2d needs a map N x C x H x W, got shape 1x4x16}}
  %y = nn.transposed_conv2d %x, %w window <2x2, stride 2x2> extra [0, 0] groups 1 : (tensor<1x4x16xf32>, tensor<4x3x2x2xf32>) -> tensor<1x3x16x16xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>, %w: tensor<4x3x2xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{transposed_conv2d weights need shape C x K/G x R x S, got 4x3x2}}
  %y = nn.transposed_conv2d %x, %w window <2x2, stride 2x2> extra [0, 0] groups 1 : (tensor<1x4x8x8xf32>, tensor<4x3x2xf32>) -> tensor<1x3x16x16xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>, %w: tensor<5x3x2x2xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{the input has 4 channels, the weights expect 5}}
  %y = nn.transposed_conv2d %x, %w window <2x2, stride 2x2> extra [0, 0] groups 1 : (tensor<1x4x8x8xf32>, tensor<5x3x2x2xf32>) -> tensor<1x3x16x16xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>, %w: tensor<4x3x2x2xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{3 groups must divide both 4 input and 9 output channels}}
  %y = nn.transposed_conv2d %x, %w window <2x2, stride 2x2> extra [0, 0] groups 3 : (tensor<1x4x8x8xf32>, tensor<4x3x2x2xf32>) -> tensor<1x3x16x16xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>, %w: tensor<4x3x2x2xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{the weights are 2x2, the window says 3x3}}
  %y = nn.transposed_conv2d %x, %w window <3x3> extra [0, 0] groups 1 : (tensor<1x4x8x8xf32>, tensor<4x3x2x2xf32>) -> tensor<1x3x16x16xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>, %w: tensor<4x3x2x2xf32>, %b: tensor<4xf32>) -> () inputs ["x", "w", "b"] results [] {
  // expected-error@+1 {{the bias has shape 4, needs 3}}
  %y = nn.transposed_conv2d %x, %w bias %b window <2x2, stride 2x2> extra [0, 0] groups 1 : (tensor<1x4x8x8xf32>, tensor<4x3x2x2xf32>, tensor<4xf32>) -> tensor<1x3x16x16xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>, %w: tensor<4x3x2x2xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{the extra rows and columns (2, 0) must be below the stride (2, 2)}}
  %y = nn.transposed_conv2d %x, %w window <2x2, stride 2x2> extra [2, 0] groups 1 : (tensor<1x4x8x8xf32>, tensor<4x3x2x2xf32>) -> tensor<1x3x16x16xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>, %w: tensor<4x3x2x2xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{extra counts rows and columns, got [1]}}
  %y = nn.transposed_conv2d %x, %w window <2x2, stride 2x2> extra [1] groups 1 : (tensor<1x4x8x8xf32>, tensor<4x3x2x2xf32>) -> tensor<1x3x16x16xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8xf32>, %w: tensor<4x3x2x2xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{the padding (8, 0, 8, 0) cuts the whole map away: 0x16 would be left}}
  %y = nn.transposed_conv2d %x, %w window <2x2, stride 2x2, pad 8 0 8 0> extra [0, 0] groups 1 : (tensor<1x4x8x8xf32>, tensor<4x3x2x2xf32>) -> tensor<1x3x16x16xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x8x8x!num.affine<ui8, 0.5 : 3>>, %w: tensor<4x3x2x2xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{nn.transposed_conv2d works on f32, got !num.affine<ui8, 0.5 : 3>}}
  %y = nn.transposed_conv2d %x, %w window <2x2, stride 2x2> extra [0, 0] groups 1 : (tensor<1x4x8x8x!num.affine<ui8, 0.5 : 3>>, tensor<4x3x2x2xf32>) -> tensor<1x3x16x16xf32>
  nn.return
}

// -----

nn.network @n (%a: tensor<1x4xf32>, %b: tensor<1x4xf32>) -> () inputs ["a", "b"] results [] {
  // expected-error@+1 {{the left matrices have 4 columns, the right ones 1 rows}}
  %y = nn.matmul %a, %b : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<1x4x4xf32>
  nn.return
}

// -----

nn.network @n (%a: tensor<3x4x16xf32>, %b: tensor<2x16x4xf32>) -> () inputs ["a", "b"] results [] {
  // expected-error@+1 {{matmul needs equal axes before the last two, got 3x4x16 and 2x16x4}}
  %y = nn.matmul %a, %b : (tensor<3x4x16xf32>, tensor<2x16x4xf32>) -> tensor<3x4x4xf32>
  nn.return
}

// -----

nn.network @n (%a: tensor<1x4x16xf32>, %b: tensor<1x4x16xf32>) -> () inputs ["a", "b"] results [] {
  // expected-error@+1 {{the left matrices have 16 columns, the right ones 4 rows}}
  %y = nn.matmul %a, %b : (tensor<1x4x16xf32>, tensor<1x4x16xf32>) -> tensor<1x4x4xf32>
  nn.return
}

// -----

nn.network @n (%a: tensor<1x4x16xf32>, %b: tensor<1x16x4xsi32>) -> () inputs ["a", "b"] results [] {
  // expected-error@+1 {{nn.matmul works on f32, or on plain integers of one type, got f32 and si32}}
  %y = nn.matmul %a, %b : (tensor<1x4x16xf32>, tensor<1x16x4xsi32>) -> tensor<1x4x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x16xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{pooling of a sequence slides along one axis: its window has one row}}
  %y = nn.max_pool %x window <2x2> : tensor<1x4x16xf32> -> tensor<1x4x16xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{pooling needs a map N x C x H x W, got shape 1x4}}
  %y = nn.max_pool %x window <2x2> : tensor<1x4xf32> -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>, %wi: tensor<12x4xf32>, %wh: tensor<12x3xf32>) -> () inputs ["x", "wi", "wh"] results [] {
  // expected-error@+1 {{a recurrent layer needs a sequence N x T x C, got shape 1x4}}
  %y, %h, %c = nn.lstm %x, %wi, %wh reverse false : (tensor<1x4xf32>, tensor<12x4xf32>, tensor<12x3xf32>) -> (tensor<1x6x3xf32>, tensor<1x3xf32>, tensor<1x3xf32>)
  nn.return
}

// -----

nn.network @n (%x: tensor<1x6x4xf32>, %wi: tensor<12x4xf32>, %wh: tensor<12x4xf32>) -> () inputs ["x", "wi", "wh"] results [] {
  // expected-error@+1 {{the hidden weights need shape 4H x H, got 12x4}}
  %y, %h, %c = nn.lstm %x, %wi, %wh reverse false : (tensor<1x6x4xf32>, tensor<12x4xf32>, tensor<12x4xf32>) -> (tensor<1x6x3xf32>, tensor<1x3xf32>, tensor<1x3xf32>)
  nn.return
}

// -----

nn.network @n (%x: tensor<1x6x4xf32>, %wi: tensor<12x5xf32>, %wh: tensor<12x3xf32>) -> () inputs ["x", "wi", "wh"] results [] {
  // expected-error@+1 {{the input weights need shape 12x4, got 12x5}}
  %y, %h, %c = nn.lstm %x, %wi, %wh reverse false : (tensor<1x6x4xf32>, tensor<12x5xf32>, tensor<12x3xf32>) -> (tensor<1x6x3xf32>, tensor<1x3xf32>, tensor<1x3xf32>)
  nn.return
}

// -----

nn.network @n (%x: tensor<1x6x4xf32>, %wi: tensor<12x4xf32>, %wh: tensor<12x3xf32>, %b0: tensor<12xf32>) -> () inputs ["x", "wi", "wh", "b0"] results [] {
  // expected-error@+1 {{a recurrent layer takes no bias or two of shape 12, got 12}}
  %y, %h, %c = nn.lstm %x, %wi, %wh bias %b0 reverse false : (tensor<1x6x4xf32>, tensor<12x4xf32>, tensor<12x3xf32>, tensor<12xf32>) -> (tensor<1x6x3xf32>, tensor<1x3xf32>, tensor<1x3xf32>)
  nn.return
}

// -----

nn.network @n (%x: tensor<1x6x4xf32>, %wi: tensor<12x4xf32>, %wh: tensor<12x3xf32>, %b0: tensor<12xf32>, %b1: tensor<3xf32>) -> () inputs ["x", "wi", "wh", "b0", "b1"] results [] {
  // expected-error@+1 {{a recurrent layer takes no bias or two of shape 12, got 12 and 3}}
  %y, %h, %c = nn.lstm %x, %wi, %wh bias %b0, %b1 reverse false : (tensor<1x6x4xf32>, tensor<12x4xf32>, tensor<12x3xf32>, tensor<12xf32>, tensor<3xf32>) -> (tensor<1x6x3xf32>, tensor<1x3xf32>, tensor<1x3xf32>)
  nn.return
}

// -----

nn.network @n (%x: tensor<1x6x4xf32>, %wi: tensor<12x4xf32>, %wh: tensor<12x3xf32>) -> () inputs ["x", "wi", "wh"] results [] {
  // expected-error@+1 {{the hidden weights need shape 3H x H, got 12x3}}
  %y, %h = nn.gru %x, %wi, %wh reverse false : (tensor<1x6x4xf32>, tensor<12x4xf32>, tensor<12x3xf32>) -> (tensor<1x6x3xf32>, tensor<1x3xf32>)
  nn.return
}

// -----

nn.network @n (%x: tensor<1x6x4xsi32>, %wi: tensor<12x4xf32>, %wh: tensor<12x3xf32>) -> () inputs ["x", "wi", "wh"] results [] {
  // expected-error@+1 {{nn.lstm works on f32, got si32}}
  %y, %h, %c = nn.lstm %x, %wi, %wh reverse false : (tensor<1x6x4xsi32>, tensor<12x4xf32>, tensor<12x3xf32>) -> (tensor<1x6x3xf32>, tensor<1x3xf32>, tensor<1x3xf32>)
  nn.return
}

// -----

nn.network @n (%x: tensor<1x6x4xf32>, %wi: tensor<12x4xf32>, %wh: tensor<12x3xf32>) -> () inputs ["x", "wi", "wh"] results [] {
  // expected-error@+1 {{nn.lstm gives tensor<1x6x3xf32>, tensor<1x3xf32>, tensor<1x3xf32>, the op says tensor<1x6x3xf32>, tensor<1x3xf32>, tensor<1x4xf32>}}
  %y, %h, %c = nn.lstm %x, %wi, %wh reverse false : (tensor<1x6x4xf32>, tensor<12x4xf32>, tensor<12x3xf32>) -> (tensor<1x6x3xf32>, tensor<1x3xf32>, tensor<1x4xf32>)
  nn.return
}
