// RUN: hapir opt %s | filecheck %s
// RUN: hapir opt %s | hapir opt | filecheck %s
// RUN: hapir opt %s --print-op-generic | hapir opt | filecheck %s

// What a cell may have beside its weights and biases, and forms that are not the default.

nn.network @recurrent (%x: tensor<2x6x4xf32>, %wi: tensor<12x4xf32>, %h0: tensor<2x3xf32>, %n: tensor<2xsi32>) -> () inputs ["x", "wi", "h0", "n"] results [] {
  %wh = nn.weight "wh" : tensor<12x3xf32>
  %wg = nn.weight "wg" : tensor<12x4xf32>
  %wr = nn.weight "wr" : tensor<12x12xf32>
  %p = nn.weight "p" : tensor<9xf32>
  %c0 = nn.weight "c0" : tensor<1x3xf32>
  %y, %h, %c = nn.lstm %x, %wi, %wh initial %h0, %c0 peephole %p lengths %n clip 0.5 reverse false layer "l" : (tensor<2x6x4xf32>, tensor<12x4xf32>, tensor<12x3xf32>, tensor<2x3xf32>, tensor<1x3xf32>, tensor<9xf32>, tensor<2xsi32>) -> (tensor<2x6x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>)
  %y2, %h2 = nn.gru %x, %wi, %wg activations ["hard_sigmoid 0.25 0.5", "softsign"] reset_before reverse true layer "g" : (tensor<2x6x4xf32>, tensor<12x4xf32>, tensor<12x4xf32>) -> (tensor<2x6x4xf32>, tensor<2x4xf32>)
  %y3, %h3 = nn.rnn %x, %wi, %wr reverse false {note = "kept"} : (tensor<2x6x4xf32>, tensor<12x4xf32>, tensor<12x12xf32>) -> (tensor<2x6x12xf32>, tensor<2x12xf32>)
  nn.return
}

// CHECK:      nn.network @recurrent (%x: tensor<2x6x4xf32>, %wi: tensor<12x4xf32>, %h0: tensor<2x3xf32>, %n: tensor<2xsi32>) -> () inputs ["x", "wi", "h0", "n"] results [] {
// CHECK-NEXT:   %wh = nn.weight "wh" : tensor<12x3xf32>
// CHECK-NEXT:   %wg = nn.weight "wg" : tensor<12x4xf32>
// CHECK-NEXT:   %wr = nn.weight "wr" : tensor<12x12xf32>
// CHECK-NEXT:   %p = nn.weight "p" : tensor<9xf32>
// CHECK-NEXT:   %c0 = nn.weight "c0" : tensor<1x3xf32>
// CHECK-NEXT:   %y, %h, %c = nn.lstm %x, %wi, %wh initial %h0, %c0 peephole %p lengths %n clip 0.5 reverse false layer "l" : (tensor<2x6x4xf32>, tensor<12x4xf32>, tensor<12x3xf32>, tensor<2x3xf32>, tensor<1x3xf32>, tensor<9xf32>, tensor<2xsi32>) -> (tensor<2x6x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>)
// CHECK-NEXT:   %y2, %h2 = nn.gru %x, %wi, %wg activations ["hard_sigmoid 0.25 0.5", "softsign"] reset_before reverse true layer "g" : (tensor<2x6x4xf32>, tensor<12x4xf32>, tensor<12x4xf32>) -> (tensor<2x6x4xf32>, tensor<2x4xf32>)
// CHECK-NEXT:   %y3, %h3 = nn.rnn %x, %wi, %wr reverse false {note = "kept"} : (tensor<2x6x4xf32>, tensor<12x4xf32>, tensor<12x12xf32>) -> (tensor<2x6x12xf32>, tensor<2x12xf32>)
// CHECK-NEXT:   nn.return
// CHECK-NEXT: }
