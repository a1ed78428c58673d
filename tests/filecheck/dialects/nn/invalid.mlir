// RUN: hapir opt %s --split-input-file --verify-diagnostics

// Every way in which the verifiers and the parser of nn refuse an op.


// expected-error@+1 {{the inputs differ from the network's type}}
"nn.network"() <{sym_name = "n", function_type = (tensor<1x4xf32>) -> (), input_names = ["x"], result_names = []}> ({
^bb0(%x: tensor<1x5xf32>):
  nn.return
}) : () -> ()

// -----

// expected-error@+1 {{the network declares (tensor<1x5xf32>) and returns (tensor<1x4xf32>)}}
nn.network @n (%x: tensor<1x4xf32>) -> (tensor<1x5xf32>) inputs ["x"] results ["y"] {
  nn.return %x : tensor<1x4xf32>
}

// -----

// expected-error@+1 {{one input name per input is needed}}
"nn.network"() <{sym_name = "n", function_type = (tensor<1x4xf32>) -> (), input_names = [], result_names = []}> ({
^bb0(%x: tensor<1x4xf32>):
  nn.return
}) : () -> ()

// -----

// expected-error@+1 {{one result name per result is needed}}
"nn.network"() <{sym_name = "n", function_type = () -> (), input_names = [], result_names = ["y"]}> ({
  nn.return
}) : () -> ()

// -----

// expected-error@+1 {{an input has static sizes of at least 1, got tensor<1x?xf32>}}
nn.network @n (%x: tensor<1x?xf32>) -> () inputs ["x"] results [] {
  nn.return
}

// -----

// expected-error@+1 {{'nn.return' expects parent op 'nn.network'}}
nn.return

// -----

nn.network @n () -> () inputs [] results [] {
  // expected-error@+1 {{scales along axis 2 of a tensor of shape (4, 2)}}
  %w = nn.weight "w" : tensor<4x2x!num.per_channel<si8, 2, "s">>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4xf32>, %w: tensor<2x2x1x1xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{expected two sizes, like 3x3}}
  %y = nn.conv2d %x, %w window <3> groups 1 : (tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>) -> tensor<1x2x4x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4xf32>, %w: tensor<2x2x1x1xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{Expected 'dilation'}}
  %y = nn.conv2d %x, %w window <1x1, step 2x2> groups 1 : (tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>) -> tensor<1x2x4x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4xf32>, %w: tensor<2x2x1x1xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{kernel, stride and dilation must be at least 1, got kernel (1, 1), stride (0, 1), dilation (1, 1)}}
  %y = nn.conv2d %x, %w window <1x1, stride 0x1> groups 1 : (tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>) -> tensor<1x2x4x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4xf32>, %w: tensor<2x2x1x1xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{padding must not be negative, got (0, -1, 0, 0)}}
  %y = nn.conv2d %x, %w window <1x1, pad 0 -1 0 0> groups 1 : (tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>) -> tensor<1x2x4x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4xf32>, %w: tensor<2x2x1x1xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{nn.conv2d gives tensor<1x2x4x4xf32>, the op says tensor<1x2x4x5xf32>}}
  %y = nn.conv2d %x, %w window <1x1> groups 1 : (tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>) -> tensor<1x2x4x5xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>, %w: tensor<2x2x1x1xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{conv2d needs a map N x C x H x W, got shape 1x4}}
  %y = nn.conv2d %x, %w window <1x1> groups 1 : (tensor<1x4xf32>, tensor<2x2x1x1xf32>) -> tensor<1x2x4x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4xf32>, %w: tensor<2x2xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{conv2d weights need shape K x C/G x R x S, got 2x2}}
  %y = nn.conv2d %x, %w window <1x1> groups 1 : (tensor<1x2x4x4xf32>, tensor<2x2xf32>) -> tensor<1x2x4x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4xf32>, %w: tensor<2x2x1x1xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{3 groups must divide both 2 input and 2 output channels}}
  %y = nn.conv2d %x, %w window <1x1> groups 3 : (tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>) -> tensor<1x2x4x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4xf32>, %w: tensor<2x2x1x1xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{0 groups must divide}}
  %y = nn.conv2d %x, %w window <1x1> groups 0 : (tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>) -> tensor<1x2x4x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4xf32>, %w: tensor<2x3x1x1xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{the input has 2 channels, the weights expect 3}}
  %y = nn.conv2d %x, %w window <1x1> groups 1 : (tensor<1x2x4x4xf32>, tensor<2x3x1x1xf32>) -> tensor<1x2x4x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4xf32>, %w: tensor<2x2x1x1xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{the weights are 1x1, the window says 3x3}}
  %y = nn.conv2d %x, %w window <3x3> groups 1 : (tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>) -> tensor<1x2x4x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4xf32>, %w: tensor<2x2x1x1xf32>, %b: tensor<3xf32>) -> () inputs ["x", "w", "b"] results [] {
  // expected-error@+1 {{the bias has shape 3, needs 2}}
  %y = nn.conv2d %x, %w bias %b window <1x1> groups 1 : (tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>, tensor<3xf32>) -> tensor<1x2x4x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4xf32>, %w: tensor<2x2x5x1xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{the window spans 9x1 but the padded map is only 5x4}}
  %y = nn.conv2d %x, %w window <5x1, pad 1 0 0 0, dilation 2x1> groups 1 : (tensor<1x2x4x4xf32>, tensor<2x2x5x1xf32>) -> tensor<1x2x4x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4xf32>, %w: tensor<2x2x1x1xf32>, %b: tensor<2xsi32>) -> () inputs ["x", "w", "b"] results [] {
  // expected-error@+1 {{the bias must be f32, got si32}}
  %y = nn.conv2d %x, %w bias %b window <1x1> groups 1 : (tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>, tensor<2xsi32>) -> tensor<1x2x4x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4x!num.affine<ui8, 0.5 : 3>>, %w: tensor<2x2x1x1x!num.per_channel<si8, 0, "s">>, %b: tensor<2xf32>) -> () inputs ["x", "w", "b"] results [] {
  // expected-error@+1 {{the bias must be si32, got f32}}
  %y = nn.conv2d %x, %w bias %b window <1x1> groups 1 : (tensor<1x2x4x4x!num.affine<ui8, 0.5 : 3>>, tensor<2x2x1x1x!num.per_channel<si8, 0, "s">>, tensor<2xf32>) -> tensor<1x2x4x4xsi32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4x!num.affine<ui8, 0.5 : 3>>, %w: tensor<2x2x1x1xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{cannot multiply !num.affine<ui8, 0.5 : 3> by f32: both f32, or both quantized}}
  %y = nn.conv2d %x, %w window <1x1> groups 1 : (tensor<1x2x4x4x!num.affine<ui8, 0.5 : 3>>, tensor<2x2x1x1xf32>) -> tensor<1x2x4x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4x!num.affine<ui8, 0.5 : 3>>, %w: tensor<2x2x1x1x!num.affine<si8, 0.5 : 1>>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{weights are symmetric: their zero point must be 0}}
  %y = nn.conv2d %x, %w window <1x1> groups 1 : (tensor<1x2x4x4x!num.affine<ui8, 0.5 : 3>>, tensor<2x2x1x1x!num.affine<si8, 0.5 : 1>>) -> tensor<1x2x4x4xsi32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4x!num.affine<ui8, 0.5 : 3>>, %w: tensor<2x2x1x1x!num.per_channel<si8, 1, "s">>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{per-channel weights scale along axis 0, the output channels}}
  %y = nn.conv2d %x, %w window <1x1> groups 1 : (tensor<1x2x4x4x!num.affine<ui8, 0.5 : 3>>, tensor<2x2x1x1x!num.per_channel<si8, 1, "s">>) -> tensor<1x2x4x4xsi32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4xf32>, %w: tensor<3x4xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{dense needs a matrix N x C, got shape 1x2x4x4: flatten it first}}
  %y = nn.dense %x, %w : (tensor<1x2x4x4xf32>, tensor<3x4xf32>) -> tensor<1x3xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>, %w: tensor<3x5xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{the input has 4 features, the weights 3x5 expect 5}}
  %y = nn.dense %x, %w : (tensor<1x4xf32>, tensor<3x5xf32>) -> tensor<1x3xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>, %w: tensor<4xf32>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{the input has 4 features, the weights 4 expect 4}}
  %y = nn.dense %x, %w : (tensor<1x4xf32>, tensor<4xf32>) -> tensor<1x3xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>, %w: tensor<3x4xf32>, %b: tensor<4xf32>) -> () inputs ["x", "w", "b"] results [] {
  // expected-error@+1 {{the bias has shape 4, needs 3}}
  %y = nn.dense %x, %w bias %b : (tensor<1x4xf32>, tensor<3x4xf32>, tensor<4xf32>) -> tensor<1x3xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>, %w: tensor<3x4xui8>) -> () inputs ["x", "w"] results [] {
  // expected-error@+1 {{cannot multiply f32 by ui8}}
  %y = nn.dense %x, %w : (tensor<1x4xf32>, tensor<3x4xui8>) -> tensor<1x3xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{pooling needs a map N x C x H x W, got shape 1x4}}
  %y = nn.max_pool %x window <1x1> : tensor<1x4xf32> -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{padding (3, 0, 0, 0) must be smaller than the kernel (2, 1): a window would be empty}}
  %y = nn.max_pool %x window <2x1, pad 3 0 0 0, dilation 2x2> : tensor<1x2x4x4xf32> -> tensor<1x2x5x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{padding (0, 2, 0, 0) must be smaller than the kernel (2, 2): a window would be empty}}
  %y = nn.max_pool %x window <2x2, pad 0 2 0 0> : tensor<1x2x4x4xf32> -> tensor<1x2x4x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{the window spans 5x1 but the padded map is only 4x4}}
  %y = nn.max_pool %x window <5x1> : tensor<1x2x4x4xf32> -> tensor<1x2x4x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4x!num.per_channel<si8, 0, "s">>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.max_pool works on f32, an affine type or integers, got !num.per_channel<si8, 0, "s">}}
  %y = nn.max_pool %x window <1x1> : tensor<1x2x4x4x!num.per_channel<si8, 0, "s">> -> tensor<1x2x4x4x!num.per_channel<si8, 0, "s">>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4x!num.affine<ui8, 0.5 : 3>>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.avg_pool works on f32, got !num.affine<ui8, 0.5 : 3>}}
  %y = nn.avg_pool %x window <1x1> count_include_pad true : tensor<1x2x4x4x!num.affine<ui8, 0.5 : 3>> -> tensor<1x2x4x4x!num.affine<ui8, 0.5 : 3>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.sum_pool needs a quantized operand, got f32}}
  %y = nn.sum_pool %x window <1x1> : tensor<1x2x4x4xf32> -> tensor<1x2x4x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4x!num.affine<ui8, 0.5 : 3>>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.global_avg_pool works on f32, got !num.affine<ui8, 0.5 : 3>}}
  %y = nn.global_avg_pool %x : tensor<1x2x4x4x!num.affine<ui8, 0.5 : 3>> -> tensor<1x2x4x4x!num.affine<ui8, 0.5 : 3>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{global pooling needs a map N x C x H x W, got shape 1x4}}
  %y = nn.global_avg_pool %x : tensor<1x4xf32> -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4x!num.per_channel<si8, 0, "s">>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.global_max_pool works on f32, an affine type or integers, got !num.per_channel<si8, 0, "s">}}
  %y = nn.global_max_pool %x : tensor<1x2x4x4x!num.per_channel<si8, 0, "s">> -> tensor<1x2x1x1xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.relu gives tensor<1x4xf32>, the op says tensor<1x5xf32>}}
  %y = nn.relu %x : tensor<1x4xf32> -> tensor<1x5xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x!num.per_channel<si8, 0, "s">>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.relu works on f32, an affine type or integers, got !num.per_channel<si8, 0, "s">}}
  %y = nn.relu %x : tensor<1x4x!num.per_channel<si8, 0, "s">> -> tensor<1x4x!num.per_channel<si8, 0, "s">>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xsi32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.clip works on f32 or an affine type, got si32}}
  %y = nn.clip %x from 0.0 to 1.0 : tensor<1x4xsi32> -> tensor<1x4xsi32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{the bounds 1.0..0.5 are empty}}
  %y = nn.clip %x from 1.0 to 0.5 : tensor<1x4xf32> -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{the bounds must be finite, got 0.0..inf}}
  %y = "nn.clip"(%x) <{low = 0.0 : f64, high = 0x7FF0000000000000 : f64}> : (tensor<1x4xf32>) -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%a: tensor<1x4xf32>, %b: tensor<1x4xsi32>) -> () inputs ["a", "b"] results [] {
  // expected-error@+1 {{nn.add needs two f32 or two si32 operands, got f32 and si32}}
  %y = nn.add %a, %b : (tensor<1x4xf32>, tensor<1x4xsi32>) -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%a: tensor<1x4xui8>, %b: tensor<1x4xui8>) -> () inputs ["a", "b"] results [] {
  // expected-error@+1 {{nn.add needs two f32 or two si32 operands, got ui8 and ui8}}
  %y = nn.add %a, %b : (tensor<1x4xui8>, tensor<1x4xui8>) -> tensor<1x4xui8>
  nn.return
}

// -----

nn.network @n (%a: tensor<1x4xf32>, %b: tensor<1x5xf32>) -> () inputs ["a", "b"] results [] {
  // expected-error@+1 {{nn.add needs equal shapes, or axes of size 1 that repeat, got 1x4 and 1x5}}
  %y = nn.add %a, %b : (tensor<1x4xf32>, tensor<1x5xf32>) -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%a: tensor<1x4xf32>, %b: tensor<1x4xsi32>) -> () inputs ["a", "b"] results [] {
  // expected-error@+1 {{nn.concat joins one element type, got f32, si32}}
  %y = nn.concat %a, %b axis 1 : (tensor<1x4xf32>, tensor<1x4xsi32>) -> tensor<1x8xf32>
  nn.return
}

// -----

nn.network @n (%a: tensor<1x4xf32>, %b: tensor<1x4xf32>) -> () inputs ["a", "b"] results [] {
  // expected-error@+1 {{axis 2 is outside 0..1}}
  %y = nn.concat %a, %b axis 2 : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<1x8xf32>
  nn.return
}

// -----

nn.network @n (%a: tensor<1x2x3xf32>, %b: tensor<1x2x4xf32>) -> () inputs ["a", "b"] results [] {
  // expected-error@+1 {{concat along axis 1 needs shapes equal elsewhere, got 1x2x3 and 1x2x4}}
  %y = nn.concat %a, %b axis 1 : (tensor<1x2x3xf32>, tensor<1x2x4xf32>) -> tensor<1x4x3xf32>
  nn.return
}

// -----

nn.network @n (%a: tensor<1x2x3xf32>, %b: tensor<1x2xf32>) -> () inputs ["a", "b"] results [] {
  // expected-error@+1 {{concat along axis 1 needs shapes equal elsewhere, got 1x2x3 and 1x2}}
  %y = nn.concat %a, %b axis 1 : (tensor<1x2x3xf32>, tensor<1x2xf32>) -> tensor<1x4x3xf32>
  nn.return
}

// -----

nn.network @n () -> () inputs [] results [] {
  // expected-error@+1 {{nn.concat joins at least one tensor}}
  %y = "nn.concat"() <{axis = 1 : i64}> : () -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{flatten needs at least two dimensions, got shape 4}}
  %y = nn.flatten %x : tensor<4xf32> -> tensor<4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<2x4x!num.per_channel<si8, 0, "s">>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.flatten works on f32, an affine type or integers, got !num.per_channel<si8, 0, "s">}}
  %y = nn.flatten %x : tensor<2x4x!num.per_channel<si8, 0, "s">> -> tensor<2x4x!num.per_channel<si8, 0, "s">>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4xf32>, %g: tensor<3xf32>) -> () inputs ["x", "g"] results [] {
  // expected-error@+1 {{batch_norm over 2 channels got a parameter of shape 3}}
  %y = nn.batch_norm %x, %g, %g, %g, %g epsilon 1.0e-05 : (tensor<1x2x4x4xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<1x2x4x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<4xf32>, %g: tensor<4xf32>) -> () inputs ["x", "g"] results [] {
  // expected-error@+1 {{batch_norm needs a channel dimension, got shape 4}}
  %y = nn.batch_norm %x, %g, %g, %g, %g epsilon 1.0e-05 : (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2xsi32>, %g: tensor<2xf32>) -> () inputs ["x", "g"] results [] {
  // expected-error@+1 {{nn.batch_norm works on f32, got si32}}
  %y = nn.batch_norm %x, %g, %g, %g, %g epsilon 1.0e-05 : (tensor<1x2xsi32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<1x2xsi32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x2x4x4xf32>, %g: tensor<2xf32>) -> () inputs ["x", "g"] results [] {
  // expected-error@+1 {{epsilon must be finite and not negative, got -1.0}}
  %y = nn.batch_norm %x, %g, %g, %g, %g epsilon -1.0 : (tensor<1x2x4x4xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<1x2x4x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x!num.affine<ui8, 0.5 : 3>>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.softmax works on f32, got !num.affine<ui8, 0.5 : 3>}}
  %y = nn.softmax %x : tensor<1x4x!num.affine<ui8, 0.5 : 3>> -> tensor<1x4x!num.affine<ui8, 0.5 : 3>>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.argmax gives tensor<1xsi32>, the op says tensor<1x4xf32>}}
  %y = nn.argmax %x : tensor<1x4xf32> -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<2x4x!num.per_channel<si8, 0, "s">>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{nn.argmax works on f32, an affine type or integers, got !num.per_channel<si8, 0, "s">}}
  %y = nn.argmax %x : tensor<2x4x!num.per_channel<si8, 0, "s">> -> tensor<2xsi32>
  nn.return
}

// -----

// expected-error@+1 {{one name per input and one per result is needed}}
nn.network @n (%x: tensor<1x4xf32>) -> () inputs [] results [] {
  nn.return
}

// -----

// expected-error@+1 {{expected a tensor, got i32}}
nn.network @n (%x: i32) -> () inputs ["x"] results [] {
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  %w = nn.weight "w" : tensor<2x4xf32>
  // expected-error@+1 {{nn.dense: a multiplier model multiplies integers, these operands are floats}}
  %y = nn.dense %x, %w {multiplier = "truncated(bits = 2)"} : (tensor<1x4xf32>, tensor<2x4xf32>) -> tensor<1x2xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4x!num.affine<ui16, 0.5 : 3>>) -> () inputs ["x"] results [] {
  %w = nn.weight "w" : tensor<2x4x!num.affine<si8, 0.5 : 0>>
  // expected-error@+1 {{nn.dense: a multiplier model takes operands of up to 8 bits, not 16}}
  %y = nn.dense %x, %w {multiplier = "exact"} : (tensor<1x4x!num.affine<ui16, 0.5 : 3>>, tensor<2x4x!num.affine<si8, 0.5 : 0>>) -> tensor<1x2xsi32>
  nn.return
}
