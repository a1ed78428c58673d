// RUN: hapir opt %s --weights %S/small.safetensors -p 'encode{encoding="dense"}' | filecheck %s
// RUN: hapir opt %s --weights %S/small.safetensors -p 'encode{encoding="huffman(source=symbols, codebook=model)" layers="c*"}' | filecheck %s --check-prefix MODEL
// RUN: hapir opt %s --weights %S/small.safetensors -p 'encode{encoding="huffman(source=symbols, codebook=model)"},fold_constants' | filecheck %s --check-prefix FOLD
// RUN: not hapir opt %s --weights %S/small.safetensors -p 'encode{encoding="trits"}' 2>&1 | filecheck %s --check-prefix TRITS
// RUN: not hapir opt %s --weights %S/small.safetensors -p 'encode{encoding="bitmp"}' 2>&1 | filecheck %s --check-prefix NAME
// RUN: not hapir opt %s --weights %S/small.safetensors -p 'encode,encode' 2>&1 | filecheck %s --check-prefix TWICE
// RUN: not hapir opt %s --weights %S/small.safetensors -p 'encode,prune{sparsity=0.5}' 2>&1 | filecheck %s --check-prefix FIRST
// RUN: not hapir opt %s --weights %S/small.safetensors -p 'encode{layers="x"}' 2>&1 | filecheck %s --check-prefix GLOB

// CHECK:      %codes = nn.weight "c2.weight.dense.codes" : tensor<576xui8>
// CHECK-NEXT: %w = enc.decode "dense(width = 32)" of "c2.weight" zero 0(%codes) {bits = 4608 : i64, entropy_bits = {{[0-9.]+}} : f64} : (tensor<576xui8>) -> tensor<4x4x3x3xf32>
// CHECK:      nn.weight "f1.weight.dense.codes"
// CHECK-NOT:  "f1.bias.dense

// MODEL:      %book = nn.weight "n.huffman.book"
// MODEL:      enc.decode "huffman(source = symbols, codebook = model, levels = 0)" of "c2.weight" zero 0(%book, %stream) {bits = {{[0-9]+}} : i64, shared_bits = {{[0-9]+}} : i64
// MODEL-NOT:  f1.weight.huffman

// FOLD:       %w = nn.weight "c2.weight.value" : tensor<4x4x3x3xf32>
// FOLD-NOT:   enc.decode

// TRITS:      HAP0551
// NAME:       HAP0550
// NAME:       did you mean `bitmap`?
// TWICE:      HAP0553
// FIRST:      HAP0554
// FIRST-SAME: the weights `c2.weight` are encoded already, and this step would replace them
// FIRST-NEXT: -p:1:8
// GLOB:       HAP0208
nn.network @n (%x: tensor<1x4x3x3xf32>) -> (tensor<1x3xf32>) inputs ["x"] results ["y"] {
  %w = nn.weight "c2.weight" : tensor<4x4x3x3xf32>
  %c = nn.conv2d %x, %w window <3x3> groups 1 layer "c" : (tensor<1x4x3x3xf32>, tensor<4x4x3x3xf32>) -> tensor<1x4x1x1xf32>
  %f = nn.flatten %c : tensor<1x4x1x1xf32> -> tensor<1x4xf32>
  %v = nn.weight "f1.weight" : tensor<3x4xf32>
  %b = nn.weight "f1.bias" : tensor<3xf32>
  %y = nn.dense %f, %v bias %b layer "f1" : (tensor<1x4xf32>, tensor<3x4xf32>, tensor<3xf32>) -> tensor<1x3xf32>
  nn.return %y : tensor<1x3xf32>
}
