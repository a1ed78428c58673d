// RUN: hapir opt %s --verify-diagnostics --parsing-diagnostics --split-input-file | filecheck %s

// Every way in which the types and verifiers of rtl refuse.


// CHECK: a memory has at least one word of one bit, got 0 of 8
%m = rtl.memory "m" : !rtl.memory_type<0 of 8>

// -----

// CHECK: a memory has at least one word of one bit, got 8 of 0
%m = rtl.memory "m" : !rtl.memory_type<8 of 0>

// -----

// CHECK: a register has both a reset and an initial value, or neither
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%r = rtl.reg "r" clock %clk reset %en : i8

// -----

// CHECK: a register has both a reset and an initial value, or neither
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%r = rtl.reg "r" clock %clk init #builtin.int<0> : i8

// -----

// CHECK: the initial value 256 does not fit 8 bits
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%r = rtl.reg "r" clock %clk reset %en init #builtin.int<256> : i8

// -----

// CHECK: the initial value -1 does not fit 8 bits
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%r = rtl.reg "r" clock %clk reset %en init #builtin.int<-1> : i8

// -----

// CHECK: a i8 register cannot take a i2
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%r = rtl.reg "r" clock %clk : i8
rtl.next %r, %a : i8, i2

// -----

// CHECK: rtl.next drives the result of rtl.reg only
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
rtl.next %x, %x : i8, i8

// -----

// CHECK: rtl.reg has 2 drivers, needs exactly one
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%r = rtl.reg "r" clock %clk : i8
rtl.next %r, %x : i8, i8
rtl.next %r, %x : i8, i8

// -----

// CHECK: a i1 wire cannot take a i8
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%n = rtl.wire "n" : i1
rtl.assign %n, %x : i1, i8

// -----

// CHECK: rtl.assign drives the result of rtl.wire only
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
rtl.assign %x, %x : i8, i8

// -----

// CHECK: rtl.wire has 2 drivers, needs exactly one
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%n = rtl.wire "n" : i1
rtl.assign %n, %en : i1, i1
rtl.assign %n, %clk : i1, i1

// -----

// CHECK: rtl.read: !rtl.memory_type<4 of 64> needs a 2-bit address, got 8 bits
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%mem = rtl.memory "m" : !rtl.memory_type<4 of 64>
%d = rtl.read %mem, %x clock %clk "d" : !rtl.memory_type<4 of 64>, i8 -> i64

// -----

// CHECK: !rtl.memory_type<4 of 64> is not read as i8
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%mem = rtl.memory "m" : !rtl.memory_type<4 of 64>
%d = rtl.read %mem, %a clock %clk "d" : !rtl.memory_type<4 of 64>, i2 -> i8

// -----

// CHECK: rtl.write: !rtl.memory_type<4 of 64> needs a 2-bit address, got 8 bits
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%mem = rtl.memory "m" : !rtl.memory_type<4 of 64>
rtl.write %mem, %x, %w when %en clock %clk : !rtl.memory_type<4 of 64>, i8, i64

// -----

// CHECK: !rtl.memory_type<4 of 64> cannot take a i8
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%mem = rtl.memory "m" : !rtl.memory_type<4 of 64>
rtl.write %mem, %a, %x when %en clock %clk : !rtl.memory_type<4 of 64>, i2, i8

// -----

// CHECK: 2 mask bits do not divide a word of 9 bits
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%n = "test.op"() : () -> i9
%mem = rtl.memory "m" : !rtl.memory_type<4 of 9>
rtl.write %mem, %a, %n when %en clock %clk mask %a : i2 : !rtl.memory_type<4 of 9>, i2, i9

// -----

// CHECK: a memory has one write port, found 2
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%mem = rtl.memory "m" : !rtl.memory_type<4 of 64>
rtl.write %mem, %a, %w when %en clock %clk : !rtl.memory_type<4 of 64>, i2, i64
rtl.write %mem, %a, %w when %en clock %clk : !rtl.memory_type<4 of 64>, i2, i64

// -----

// CHECK: a ROM word is not hexadecimal
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%r = rtl.rom "r" %a "12 xyz" : i2 -> i12

// -----

// CHECK: 0 words do not match a 2-bit address
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%r = rtl.rom "r" %a "" : i2 -> i12

// -----

// CHECK: 5 words do not match a 2-bit address
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%r = rtl.rom "r" %a "1 2 3 4 5" : i2 -> i12

// -----

// CHECK: a word exceeds 4 bits
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%r = rtl.rom "r" %a "1f" : i2 -> i4

// -----

// CHECK: a word is negative
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%r = rtl.rom "r" %a "-1" : i2 -> i4

// -----

// CHECK: the product of i8 and i2 is not i16
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%p = rtl.mul %x, %a : i8, i2 -> i16

// -----

// CHECK: a delay lasts at least one cycle, got 0
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%l = rtl.delay "l" %x by #builtin.int<0> clock %clk : i8 -> i8

// -----

// CHECK: a delay keeps its type, got i8 and i2
%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%l = rtl.delay "l" %x by #builtin.int<1> clock %clk : i8 -> i2
