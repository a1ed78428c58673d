// RUN: hapir opt %s --split-input-file --verify-diagnostics

// Every way in which what a cell may have beside its weights is refused.

nn.network @n (%x: tensor<2x6x4xf32>, %wi: tensor<12x4xf32>, %wh: tensor<12x3xf32>, %h0: tensor<2x3xf32>, %m: tensor<3xsi32>) -> () inputs ["x", "wi", "wh", "h0", "m"] results [] {
  // expected-error@+1 {{this layer takes none or 2 initial states of shape 2x3, got 2x3}}
  %y, %h, %c = nn.lstm %x, %wi, %wh initial %h0 reverse false : (tensor<2x6x4xf32>, tensor<12x4xf32>, tensor<12x3xf32>, tensor<2x3xf32>) -> (tensor<2x6x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>)
  nn.return
}

// -----

nn.network @n (%x: tensor<2x6x4xf32>, %wi: tensor<12x4xf32>, %wh: tensor<12x3xf32>, %h0: tensor<2x3xf32>, %m: tensor<3xsi32>) -> () inputs ["x", "wi", "wh", "h0", "m"] results [] {
  // expected-error@+1 {{the peepholes need shape 9, got 2x3}}
  %y, %h, %c = nn.lstm %x, %wi, %wh peephole %h0 reverse false : (tensor<2x6x4xf32>, tensor<12x4xf32>, tensor<12x3xf32>, tensor<2x3xf32>) -> (tensor<2x6x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>)
  nn.return
}

// -----

nn.network @n (%x: tensor<2x6x4xf32>, %wi: tensor<12x4xf32>, %wh: tensor<12x3xf32>, %h0: tensor<2x3xf32>, %m: tensor<3xsi32>) -> () inputs ["x", "wi", "wh", "h0", "m"] results [] {
  // expected-error@+1 {{the lengths need shape 2, got 3}}
  %y, %h, %c = nn.lstm %x, %wi, %wh lengths %m reverse false : (tensor<2x6x4xf32>, tensor<12x4xf32>, tensor<12x3xf32>, tensor<3xsi32>) -> (tensor<2x6x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>)
  nn.return
}

// -----

nn.network @n (%x: tensor<2x6x4xf32>, %wi: tensor<12x4xf32>, %wh: tensor<12x3xf32>, %h0: tensor<2x3xf32>, %m: tensor<3xsi32>) -> () inputs ["x", "wi", "wh", "h0", "m"] results [] {
  // expected-error@+1 {{nn.lstm takes lengths of si32, got f32}}
  %y, %h, %c = nn.lstm %x, %wi, %wh lengths %h0 reverse false : (tensor<2x6x4xf32>, tensor<12x4xf32>, tensor<12x3xf32>, tensor<2x3xf32>) -> (tensor<2x6x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>)
  nn.return
}

// -----

nn.network @n (%x: tensor<2x6x4xf32>, %wi: tensor<12x4xf32>, %wh: tensor<12x3xf32>, %h0: tensor<2x3xf32>, %m: tensor<3xsi32>) -> () inputs ["x", "wi", "wh", "h0", "m"] results [] {
  // expected-error@+1 {{nn.lstm has 3 activations, got 1}}
  %y, %h, %c = nn.lstm %x, %wi, %wh activations ["tanh"] reverse false : (tensor<2x6x4xf32>, tensor<12x4xf32>, tensor<12x3xf32>) -> (tensor<2x6x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>)
  nn.return
}

// -----

nn.network @n (%x: tensor<2x6x4xf32>, %wi: tensor<12x4xf32>, %wh: tensor<12x3xf32>, %h0: tensor<2x3xf32>, %m: tensor<3xsi32>) -> () inputs ["x", "wi", "wh", "h0", "m"] results [] {
  // expected-error@+1 {{a cell has no activation 'gelu'}}
  %y, %h, %c = nn.lstm %x, %wi, %wh activations ["gelu", "tanh", "tanh"] reverse false : (tensor<2x6x4xf32>, tensor<12x4xf32>, tensor<12x3xf32>) -> (tensor<2x6x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>)
  nn.return
}

// -----

nn.network @n (%x: tensor<2x6x4xf32>, %wi: tensor<12x4xf32>, %wh: tensor<12x3xf32>, %h0: tensor<2x3xf32>, %m: tensor<3xsi32>) -> () inputs ["x", "wi", "wh", "h0", "m"] results [] {
  // expected-error@+1 {{nn.lstm clips at a positive number, got -1.0}}
  %y, %h, %c = nn.lstm %x, %wi, %wh clip -1.0 reverse false : (tensor<2x6x4xf32>, tensor<12x4xf32>, tensor<12x3xf32>) -> (tensor<2x6x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>)
  nn.return
}

// -----

nn.network @n (%x: tensor<2x6x4xf32>, %wi: tensor<12x4xf32>, %wh: tensor<12x3xf32>, %h0: tensor<2x3xf32>, %m: tensor<3xsi32>) -> () inputs ["x", "wi", "wh", "h0", "m"] results [] {
  // expected-error@+1 {{nn.lstm has no reset gate: a GRU has}}
  %y, %h, %c = nn.lstm %x, %wi, %wh reset_before reverse false : (tensor<2x6x4xf32>, tensor<12x4xf32>, tensor<12x3xf32>) -> (tensor<2x6x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>)
  nn.return
}

// -----

nn.network @n (%x: tensor<2x6x4xf32>, %wi: tensor<12x4xf32>, %wh: tensor<12x3xf32>, %h0: tensor<2x3xf32>, %m: tensor<3xsi32>) -> () inputs ["x", "wi", "wh", "h0", "m"] results [] {
  // expected-error@+1 {{nn.rnn has no peepholes: an LSTM has}}
  %y, %h = nn.rnn %x, %wi, %wh peephole %h0 reverse false : (tensor<2x6x4xf32>, tensor<12x4xf32>, tensor<12x3xf32>, tensor<2x3xf32>) -> (tensor<2x6x3xf32>, tensor<2x3xf32>)
  nn.return
}

// -----

nn.network @n (%x: tensor<2x6x4xf32>, %wi: tensor<12x4xf32>, %wh: tensor<12x3xf32>, %h0: tensor<2x3xf32>, %m: tensor<3xsi32>) -> () inputs ["x", "wi", "wh", "h0", "m"] results [] {
  // expected-error@+1 {{a recurrent layer has one tensor of peepholes and one of lengths}}
  %y, %h = nn.rnn %x, %wi, %wh peephole %h0, %h0 reverse false : (tensor<2x6x4xf32>, tensor<12x4xf32>, tensor<12x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>) -> (tensor<2x6x3xf32>, tensor<2x3xf32>)
  nn.return
}
