// RUN: hapir opt %s | filecheck %s
// RUN: hapir opt %s | hapir opt | filecheck %s
// RUN: hapir opt %s --print-op-generic | hapir opt | filecheck %s

// Every op of nn in its custom syntax, on floats and, where it has one, in its integer meaning.

nn.network @floats (%x: tensor<1x2x8x6xf32>) -> (tensor<1x5xf32>, tensor<1xsi32>) inputs ["x"] results ["p", "best"] {
  %w = nn.weight "c1.weight" : tensor<4x1x3x3xf32>
  %b = nn.weight "c1.bias" : tensor<4xf32>
  %c1 = nn.conv2d %x, %w bias %b window <3x3, stride 2x1, pad 1 0 1 2, dilation 1x2> groups 2 layer "c1" : (tensor<1x2x8x6xf32>, tensor<4x1x3x3xf32>, tensor<4xf32>) -> tensor<1x4x4x4xf32>
  %w2 = nn.weight "c2.weight" : tensor<4x4x1x1xf32>
  %c2 = nn.conv2d %c1, %w2 window <1x1> groups 1 : (tensor<1x4x4x4xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x4x4xf32>
  %v = nn.weight "v" : tensor<4xf32>
  %bn = nn.batch_norm %c2, %b, %b, %b, %v epsilon 1.0e-05 layer "bn" : (tensor<1x4x4x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x4x4xf32>
  %r = nn.relu %bn layer "r" : tensor<1x4x4x4xf32> -> tensor<1x4x4x4xf32>
  %k = nn.clip %r from -0.5 to 6 layer "k" : tensor<1x4x4x4xf32> -> tensor<1x4x4x4xf32>
  %a = nn.add %k, %c1 layer "a" : (tensor<1x4x4x4xf32>, tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32>
  %j = nn.concat %a, %k, %r axis 1 layer "j" : (tensor<1x4x4x4xf32>, tensor<1x4x4x4xf32>, tensor<1x4x4x4xf32>) -> tensor<1x12x4x4xf32>
  %m = nn.max_pool %j window <3x2, stride 2x2, pad 1 1 1 0> layer "m" : tensor<1x12x4x4xf32> -> tensor<1x12x2x2xf32>
  %avg = nn.avg_pool %m window <2x2, pad 1 1 1 1> count_include_pad true layer "avg" : tensor<1x12x2x2xf32> -> tensor<1x12x3x3xf32>
  %avg2 = nn.avg_pool %avg window <2x2> count_include_pad false : tensor<1x12x3x3xf32> -> tensor<1x12x2x2xf32>
  %ga = nn.global_avg_pool %avg2 layer "ga" : tensor<1x12x2x2xf32> -> tensor<1x12x1x1xf32>
  %gm = nn.global_max_pool %ga layer "gm" : tensor<1x12x1x1xf32> -> tensor<1x12x1x1xf32>
  %f = nn.flatten %gm layer "f" : tensor<1x12x1x1xf32> -> tensor<1x12xf32>
  %dw = nn.weight "d.weight" : tensor<5x12xf32>
  %db = nn.weight "d.bias" : tensor<5xf32>
  %d = nn.dense %f, %dw bias %db layer "d" : (tensor<1x12xf32>, tensor<5x12xf32>, tensor<5xf32>) -> tensor<1x5xf32>
  %s = nn.softmax %d layer "s" : tensor<1x5xf32> -> tensor<1x5xf32>
  %best = nn.argmax %s layer "best" : tensor<1x5xf32> -> tensor<1xsi32>
  nn.return %s, %best : tensor<1x5xf32>, tensor<1xsi32>
}

// CHECK:      nn.network @floats (%x: tensor<1x2x8x6xf32>) -> (tensor<1x5xf32>, tensor<1xsi32>) inputs ["x"] results ["p", "best"] {
// CHECK-NEXT:   %w = nn.weight "c1.weight" : tensor<4x1x3x3xf32>
// CHECK-NEXT:   %b = nn.weight "c1.bias" : tensor<4xf32>
// CHECK-NEXT:   %c1 = nn.conv2d %x, %w bias %b window <3x3, stride 2x1, pad 1 0 1 2, dilation 1x2> groups 2 layer "c1" : (tensor<1x2x8x6xf32>, tensor<4x1x3x3xf32>, tensor<4xf32>) -> tensor<1x4x4x4xf32>
// CHECK-NEXT:   %w2 = nn.weight "c2.weight" : tensor<4x4x1x1xf32>
// CHECK-NEXT:   %c2 = nn.conv2d %c1, %w2 window <1x1> groups 1 : (tensor<1x4x4x4xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x4x4xf32>
// CHECK-NEXT:   %v = nn.weight "v" : tensor<4xf32>
// CHECK-NEXT:   %bn = nn.batch_norm %c2, %b, %b, %b, %v epsilon 1.0e-05 layer "bn" : {{.*}} -> tensor<1x4x4x4xf32>
// CHECK-NEXT:   %r = nn.relu %bn layer "r" : tensor<1x4x4x4xf32> -> tensor<1x4x4x4xf32>
// CHECK-NEXT:   %k = nn.clip %r from -0.5 to 6.0 layer "k" : tensor<1x4x4x4xf32> -> tensor<1x4x4x4xf32>
// CHECK-NEXT:   %a = nn.add %k, %c1 layer "a" : (tensor<1x4x4x4xf32>, tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32>
// CHECK-NEXT:   %j = nn.concat %a, %k, %r axis 1 layer "j" : {{.*}} -> tensor<1x12x4x4xf32>
// CHECK-NEXT:   %m = nn.max_pool %j window <3x2, stride 2x2, pad 1 1 1 0> layer "m" : tensor<1x12x4x4xf32> -> tensor<1x12x2x2xf32>
// CHECK-NEXT:   %avg = nn.avg_pool %m window <2x2, pad 1 1 1 1> count_include_pad true layer "avg" : tensor<1x12x2x2xf32> -> tensor<1x12x3x3xf32>
// CHECK-NEXT:   nn.avg_pool %avg window <2x2> count_include_pad false : tensor<1x12x3x3xf32> -> tensor<1x12x2x2xf32>
// CHECK-NEXT:   %ga = nn.global_avg_pool %{{.*}} layer "ga" : tensor<1x12x2x2xf32> -> tensor<1x12x1x1xf32>
// CHECK-NEXT:   %gm = nn.global_max_pool %ga layer "gm" : tensor<1x12x1x1xf32> -> tensor<1x12x1x1xf32>
// CHECK-NEXT:   %f = nn.flatten %gm layer "f" : tensor<1x12x1x1xf32> -> tensor<1x12xf32>
// CHECK:        %d = nn.dense %f, %dw bias %db layer "d" : (tensor<1x12xf32>, tensor<5x12xf32>, tensor<5xf32>) -> tensor<1x5xf32>
// CHECK-NEXT:   %s = nn.softmax %d layer "s" : tensor<1x5xf32> -> tensor<1x5xf32>
// CHECK-NEXT:   %best = nn.argmax %s layer "best" : tensor<1x5xf32> -> tensor<1xsi32>
// CHECK-NEXT:   nn.return %s, %best : tensor<1x5xf32>, tensor<1xsi32>

nn.network @integers (%q: tensor<1x2x4x4x!num.affine<ui8, 0.5 : 3>>) -> (tensor<1x2xsi32>) inputs ["q"] results ["y"] {
  %m = nn.max_pool %q window <2x2, stride 2x2> : tensor<1x2x4x4x!num.affine<ui8, 0.5 : 3>> -> tensor<1x2x2x2x!num.affine<ui8, 0.5 : 3>>
  %w = nn.weight "w" : tensor<2x2x1x1x!num.per_channel<si8, 0, "w.scale">>
  %b = nn.weight "b" : tensor<2xsi32>
  %acc = nn.conv2d %m, %w bias %b window <1x1> groups 1 : (tensor<1x2x2x2x!num.affine<ui8, 0.5 : 3>>, tensor<2x2x1x1x!num.per_channel<si8, 0, "w.scale">>, tensor<2xsi32>) -> tensor<1x2x2x2xsi32>
  %model = nn.conv2d %m, %w window <1x1> groups 1 layer "c" {multiplier = "truncated(bits = 2)"} : (tensor<1x2x2x2x!num.affine<ui8, 0.5 : 3>>, tensor<2x2x1x1x!num.per_channel<si8, 0, "w.scale">>) -> tensor<1x2x2x2xsi32>
  %sum = nn.sum_pool %m window <2x2> layer "p" : tensor<1x2x2x2x!num.affine<ui8, 0.5 : 3>> -> tensor<1x2x1x1xsi32>
  %fs = nn.flatten %sum : tensor<1x2x1x1xsi32> -> tensor<1x2xsi32>
  nn.return %fs : tensor<1x2xsi32>
}

// CHECK:      nn.network @integers (%q: tensor<1x2x4x4x!num.affine<ui8, 0.5 : 3>>) -> (tensor<1x2xsi32>)
// CHECK-NEXT:   %m = nn.max_pool %q window <2x2, stride 2x2> : {{.*}} -> tensor<1x2x2x2x!num.affine<ui8, 0.5 : 3>>
// CHECK:        %acc = nn.conv2d %m, %w bias %b window <1x1> groups 1 : {{.*}} -> tensor<1x2x2x2xsi32>
// CHECK-NEXT:   %model = nn.conv2d %m, %w window <1x1> groups 1 layer "c" {multiplier = "truncated(bits = 2)"} : {{.*}} -> tensor<1x2x2x2xsi32>
// CHECK-NEXT:   %sum = nn.sum_pool %m window <2x2> layer "p" : {{.*}} -> tensor<1x2x1x1xsi32>
// CHECK-NEXT:   %fs = nn.flatten %sum : tensor<1x2x1x1xsi32> -> tensor<1x2xsi32>
