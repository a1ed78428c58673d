// RUN: hapir opt %s -p 'read_codes' | filecheck %s

// Moves and maxima work on the codes; the views around them are gone. What is added wraps around as plain integers do.
// CHECK:      %q = num.quantize %x
// CHECK-NEXT: %p = nn.max_pool %q window <2x2, stride 2x2> layer "p" : {{.*}} -> tensor<1x4x1x2x!num.affine<ui8, 0.5 : 3>>
// CHECK-NEXT: %f = nn.flatten %p layer "f" : {{.*}} -> tensor<1x8x!num.affine<ui8, 0.5 : 3>>
// CHECK-NEXT: [[V:%[a-z0-9_]+]] = num.view %f : tensor<1x8x!num.affine<ui8, 0.5 : 3>> -> tensor<1x8xui8>
// CHECK-NEXT: %j = nn.concat %f, %f
// CHECK-NEXT: %y = num.dequantize %j
// CHECK-NEXT: %z = nn.pointwise wrapping_add([[V]], [[V]])
nn.network @n (%x: tensor<1x4x2x4xf32>) -> (tensor<1x16xf32>, tensor<1x8xui8>) inputs ["x"] results ["y", "z"] {
  %q = num.quantize %x half_even : tensor<1x4x2x4xf32> -> tensor<1x4x2x4x!num.affine<ui8, 0.5 : 3>>
  %b = num.view %q : tensor<1x4x2x4x!num.affine<ui8, 0.5 : 3>> -> tensor<1x4x2x4xui8>
  %p = nn.max_pool %b window <2x2, stride 2x2> layer "p" : tensor<1x4x2x4xui8> -> tensor<1x4x1x2xui8>
  %f = nn.flatten %p layer "f" : tensor<1x4x1x2xui8> -> tensor<1x8xui8>
  %j = nn.concat %f, %f axis 1 layer "j" : (tensor<1x8xui8>, tensor<1x8xui8>) -> tensor<1x16xui8>
  %c = num.view %j : tensor<1x16xui8> -> tensor<1x16x!num.affine<ui8, 0.5 : 3>>
  %y = num.dequantize %c : tensor<1x16x!num.affine<ui8, 0.5 : 3>> -> tensor<1x16xf32>
  %z = nn.pointwise wrapping_add(%f, %f) layer "z" : (tensor<1x8xui8>, tensor<1x8xui8>) -> tensor<1x8xui8>
  nn.return %y, %z : tensor<1x16xf32>, tensor<1x8xui8>
}
