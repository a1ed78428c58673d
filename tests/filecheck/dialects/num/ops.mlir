// RUN: hapir opt %s | filecheck %s
// RUN: hapir opt %s | hapir opt | filecheck %s
// RUN: hapir opt %s --print-op-generic | hapir opt | filecheck %s

// Every op and type of num in its custom syntax.

nn.network @conversions (%x: tensor<1x4xf32>) -> (tensor<1x4xf32>) inputs ["x"] results ["y"] {
  %q = num.quantize %x half_even layer "c1.input" : tensor<1x4xf32> -> tensor<1x4x!num.affine<ui8, 0.0078125 : 128>>
  %wide = num.widen %q by -181 layer "a" : tensor<1x4x!num.affine<ui8, 0.0078125 : 128>> -> tensor<1x4xsi32>
  %m = nn.weight "m" : tensor<4xui16>
  %s = nn.weight "s" : tensor<1xui8>
  %r = num.requantize %wide, %m, %s half_up bounds -128, 127 layer "c1" : tensor<1x4xsi32>, tensor<4xui16>, tensor<1xui8> -> tensor<1x4x!num.affine<si8, 1.0e-2 : -3>>
  %r2 = num.requantize %wide, %m, %s half_away bounds 0, 15 : tensor<1x4xsi32>, tensor<4xui16>, tensor<1xui8> -> tensor<1x4x!num.affine<ui4, 3 : 0>>
  %real = nn.weight "real" : tensor<4xf32>
  %r3 = num.rescale %wide, %real half_even bounds 0, 255 layer "c2" : tensor<1x4xsi32>, tensor<4xf32> -> tensor<1x4x!num.affine<ui8, 0.5 : 0>>
  %q2 = num.quantize %x half_even single layer "c3" : tensor<1x4xf32> -> tensor<1x4x!num.affine<ui8, 0.5 : 0>>
  %r4 = num.rescale %wide, %real half_even single bounds 0, 255 layer "c2" : tensor<1x4xsi32>, tensor<4xf32> -> tensor<1x4x!num.affine<ui8, 0.5 : 0>>
  %bytes = num.view %r4 : tensor<1x4x!num.affine<ui8, 0.5 : 0>> -> tensor<1x4xui8>
  %y = num.dequantize %r layer "y" : tensor<1x4x!num.affine<si8, 0.01 : -3>> -> tensor<1x4xf32>
  %w = num.quantize %y floor : tensor<1x4xf32> -> tensor<1x4x!num.per_channel<si8, 1, "w.scale">>
  %t = nn.weight "t" : tensor<4x1xsi10>
  %f = nn.weight "f" : tensor<4xui1>
  %b = num.threshold %wide, %t, %f from -1 layer "n1" : tensor<1x4xsi32>, tensor<4x1xsi10>, tensor<4xui1> -> tensor<1x4x!num.affine<!num.bipolar<1>, 1.0 : 0>>
  %t3 = nn.weight "t3" : tensor<1x3xsi8>
  %f1 = nn.weight "f1" : tensor<1xui1>
  %c = num.threshold %q, %t3, %f1 from 0 : tensor<1x4x!num.affine<ui8, 0.0078125 : 128>>, tensor<1x3xsi8>, tensor<1xui1> -> tensor<1x4x!num.affine<ui2, 0.5 : 0>>
  %v = num.view %wide layer "f2" : tensor<1x4xsi32> -> tensor<1x4x!num.per_channel<si32, 1, "f2.scale">>
  %v2 = num.view %b : tensor<1x4x!num.affine<!num.bipolar<1>, 1.0 : 0>> -> tensor<1x4x!num.affine<si2, 1.0 : 0>>
  nn.return %y : tensor<1x4xf32>
}

// CHECK:      %q = num.quantize %x half_even layer "c1.input" : tensor<1x4xf32> -> tensor<1x4x!num.affine<ui8, 0.0078125 : 128>>
// CHECK-NEXT: %wide = num.widen %q by -181 layer "a" : tensor<1x4x!num.affine<ui8, 0.0078125 : 128>> -> tensor<1x4xsi32>
// CHECK:      %r = num.requantize %wide, %m, %s half_up bounds -128, 127 layer "c1" : tensor<1x4xsi32>, tensor<4xui16>, tensor<1xui8> -> tensor<1x4x!num.affine<si8, 0.01 : -3>>
// CHECK-NEXT: num.requantize %wide, %m, %s half_away bounds 0, 15 : {{.*}} -> tensor<1x4x!num.affine<ui4, 3.0 : 0>>
// CHECK-NEXT: %real = nn.weight "real" : tensor<4xf32>
// CHECK-NEXT: %r3 = num.rescale %wide, %real half_even bounds 0, 255 layer "c2" : tensor<1x4xsi32>, tensor<4xf32> -> tensor<1x4x!num.affine<ui8, 0.5 : 0>>
// CHECK-NEXT: %q2 = num.quantize %x half_even single layer "c3" : tensor<1x4xf32> -> tensor<1x4x!num.affine<ui8, 0.5 : 0>>
// CHECK-NEXT: %r4 = num.rescale %wide, %real half_even single bounds 0, 255 layer "c2" : tensor<1x4xsi32>, tensor<4xf32> -> tensor<1x4x!num.affine<ui8, 0.5 : 0>>
// CHECK-NEXT: %bytes = num.view %r4 : tensor<1x4x!num.affine<ui8, 0.5 : 0>> -> tensor<1x4xui8>
// CHECK-NEXT: %y = num.dequantize %r layer "y" : tensor<1x4x!num.affine<si8, 0.01 : -3>> -> tensor<1x4xf32>
// CHECK-NEXT: %w = num.quantize %y floor : tensor<1x4xf32> -> tensor<1x4x!num.per_channel<si8, 1, "w.scale">>
// CHECK:      %b = num.threshold %wide, %t, %f from -1 layer "n1" : tensor<1x4xsi32>, tensor<4x1xsi10>, tensor<4xui1> -> tensor<1x4x!num.affine<!num.bipolar<1>, 1.0 : 0>>
// CHECK:      %c = num.threshold %q, %t3, %f1 from 0 : tensor<1x4x!num.affine<ui8, 0.0078125 : 128>>, tensor<1x3xsi8>, tensor<1xui1> -> tensor<1x4x!num.affine<ui2, 0.5 : 0>>
// CHECK-NEXT: %v = num.view %wide layer "f2" : tensor<1x4xsi32> -> tensor<1x4x!num.per_channel<si32, 1, "f2.scale">>
// CHECK-NEXT: num.view %b : tensor<1x4x!num.affine<!num.bipolar<1>, 1.0 : 0>> -> tensor<1x4x!num.affine<si2, 1.0 : 0>>
