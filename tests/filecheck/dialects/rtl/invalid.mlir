// RUN: hapir opt %s --split-input-file --verify-diagnostics

// Every way in which the types and verifiers of rtl refuse.


// expected-error@+1 {{a memory has at least one word of one bit, got 0 of 8}}
%m = rtl.memory "m" : !rtl.memory_type<0 of 8>

// -----

// expected-error@+1 {{a memory has at least one word of one bit, got 8 of 0}}
%m = rtl.memory "m" : !rtl.memory_type<8 of 0>

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
// expected-error@+1 {{a register has both a reset and an initial value, or neither}}
%r = rtl.reg "r" clock %clk reset %en : i8

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
// expected-error@+1 {{a register has both a reset and an initial value, or neither}}
%r = rtl.reg "r" clock %clk init #builtin.int<0> : i8

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
// expected-error@+1 {{the initial value 256 does not fit 8 bits}}
%r = rtl.reg "r" clock %clk reset %en init #builtin.int<256> : i8

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
// expected-error@+1 {{the initial value -1 does not fit 8 bits}}
%r = rtl.reg "r" clock %clk reset %en init #builtin.int<-1> : i8

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%r = rtl.reg "r" clock %clk : i8
// expected-error@+1 {{a i8 register cannot take a i2}}
rtl.next %r, %a : i8, i2

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
// expected-error@+1 {{rtl.next drives the result of rtl.reg only}}
rtl.next %x, %x : i8, i8

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%r = rtl.reg "r" clock %clk : i8
// expected-error@+1 {{rtl.reg has 2 drivers, needs exactly one}}
rtl.next %r, %x : i8, i8
// expected-error@+1 {{rtl.reg has 2 drivers, needs exactly one}}
rtl.next %r, %x : i8, i8

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%n = rtl.wire "n" : i1
// expected-error@+1 {{a i1 wire cannot take a i8}}
rtl.assign %n, %x : i1, i8

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
// expected-error@+1 {{rtl.assign drives the result of rtl.wire only}}
rtl.assign %x, %x : i8, i8

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%n = rtl.wire "n" : i1
// expected-error@+1 {{rtl.wire has 2 drivers, needs exactly one}}
rtl.assign %n, %en : i1, i1
// expected-error@+1 {{rtl.wire has 2 drivers, needs exactly one}}
rtl.assign %n, %clk : i1, i1

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%mem = rtl.memory "m" : !rtl.memory_type<4 of 64>
// expected-error@+1 {{rtl.read: !rtl.memory_type<4 of 64> needs a 2-bit address, got 8 bits}}
%d = rtl.read %mem, %x clock %clk "d" : !rtl.memory_type<4 of 64>, i8 -> i64

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%mem = rtl.memory "m" : !rtl.memory_type<4 of 64>
// expected-error@+1 {{!rtl.memory_type<4 of 64> is not read as i8}}
%d = rtl.read %mem, %a clock %clk "d" : !rtl.memory_type<4 of 64>, i2 -> i8

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%mem = rtl.memory "m" : !rtl.memory_type<4 of 64>
// expected-error@+1 {{rtl.write: !rtl.memory_type<4 of 64> needs a 2-bit address, got 8 bits}}
rtl.write %mem, %x, %w when %en clock %clk : !rtl.memory_type<4 of 64>, i8, i64

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%mem = rtl.memory "m" : !rtl.memory_type<4 of 64>
// expected-error@+1 {{!rtl.memory_type<4 of 64> cannot take a i8}}
rtl.write %mem, %a, %x when %en clock %clk : !rtl.memory_type<4 of 64>, i2, i8

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%n = "test.op"() : () -> i9
%mem = rtl.memory "m" : !rtl.memory_type<4 of 9>
// expected-error@+1 {{2 mask bits do not divide a word of 9 bits}}
rtl.write %mem, %a, %n when %en clock %clk mask %a : i2 : !rtl.memory_type<4 of 9>, i2, i9

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
%mem = rtl.memory "m" : !rtl.memory_type<4 of 64>
// expected-error@+1 {{a memory has one write port, found 2}}
rtl.write %mem, %a, %w when %en clock %clk : !rtl.memory_type<4 of 64>, i2, i64
// expected-error@+1 {{a memory has one write port, found 2}}
rtl.write %mem, %a, %w when %en clock %clk : !rtl.memory_type<4 of 64>, i2, i64

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
// expected-error@+1 {{a ROM word is not hexadecimal}}
%r = rtl.rom "r" %a "12 xyz" : i2 -> i12

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
// expected-error@+1 {{0 words do not match a 2-bit address}}
%r = rtl.rom "r" %a "" : i2 -> i12

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
// expected-error@+1 {{5 words do not match a 2-bit address}}
%r = rtl.rom "r" %a "1 2 3 4 5" : i2 -> i12

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
// expected-error@+1 {{a word exceeds 4 bits}}
%r = rtl.rom "r" %a "1f" : i2 -> i4

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
// expected-error@+1 {{a word is negative}}
%r = rtl.rom "r" %a "-1" : i2 -> i4

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
// expected-error@+1 {{the product of i8 and i2 is not i16}}
%p = rtl.mul %x, %a : i8, i2 -> i16

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
// expected-error@+1 {{a delay lasts at least one cycle, got 0}}
%l = rtl.delay "l" %x by #builtin.int<0> clock %clk : i8 -> i8

// -----

%clk, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i8, i2, i64)
// expected-error@+1 {{a delay keeps its type, got i8 and i2}}
%l = rtl.delay "l" %x by #builtin.int<1> clock %clk : i8 -> i2
