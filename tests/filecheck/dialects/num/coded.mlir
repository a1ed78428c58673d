// RUN: hapir opt %s | filecheck %s
// RUN: hapir opt %s | hapir opt | filecheck %s

// Types of codes: what they print as, and that dequantize takes them all.

nn.network @n () -> () inputs [] results [] {
  // CHECK: nn.weight "a" : tensor<4x2x!num.scaled<!num.ternary, "a.scale">>
  %a = nn.weight "a" : tensor<4x2x!num.scaled<!num.ternary, "a.scale">>
  // CHECK: nn.weight "b" : tensor<4x2x!num.scaled<!num.bipolar<1>, "b.scale">>
  %b = nn.weight "b" : tensor<4x2x!num.scaled<!num.bipolar<1>, "b.scale">>
  // CHECK: nn.weight "c" : tensor<4x2x!num.codebook<ui2, "c.levels">>
  %c = nn.weight "c" : tensor<4x2x!num.codebook<ui2, "c.levels">>
  // CHECK: nn.weight "d" : tensor<4x2x!num.planes<3, "d.bases">>
  %d = nn.weight "d" : tensor<4x2x!num.planes<3, "d.bases">>
  // CHECK: nn.weight "e" : tensor<4x2x!num.affine<!num.bipolar<2>, 0.5 : 0>>
  %e = nn.weight "e" : tensor<4x2x!num.affine<!num.bipolar<2>, 0.5 : 0>>
  // CHECK-COUNT-5: num.dequantize
  %f = num.dequantize %a : tensor<4x2x!num.scaled<!num.ternary, "a.scale">> -> tensor<4x2xf32>
  %g = num.dequantize %b : tensor<4x2x!num.scaled<!num.bipolar<1>, "b.scale">> -> tensor<4x2xf32>
  %h = num.dequantize %c : tensor<4x2x!num.codebook<ui2, "c.levels">> -> tensor<4x2xf32>
  %i = num.dequantize %d : tensor<4x2x!num.planes<3, "d.bases">> -> tensor<4x2xf32>
  %j = num.dequantize %e : tensor<4x2x!num.affine<!num.bipolar<2>, 0.5 : 0>> -> tensor<4x2xf32>
  nn.return
}
