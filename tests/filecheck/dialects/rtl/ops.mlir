// RUN: hapir opt %s | filecheck %s
// RUN: hapir opt %s | hapir opt | filecheck %s
// RUN: hapir opt %s --print-op-generic | hapir opt | filecheck %s

// Every op of rtl in its custom syntax.

%clk, %rst, %en, %x, %a, %w = "test.op"() : () -> (i1, i1, i1, i8, i2, i64)
%count = rtl.reg "count" clock %clk reset %rst init #builtin.int<5> : i8
rtl.next %count, %x when %en : i8, i8
%free = rtl.reg "free" clock %clk : i8
rtl.next %free, %count : i8, i8
%busy = rtl.wire "busy" : i1
rtl.assign %busy, %en : i1, i1
%mem = rtl.memory "bank" : !rtl.memory_type<4 of 64>
%d = rtl.read %mem, %a clock %clk when %en "d" : !rtl.memory_type<4 of 64>, i2 -> i64
%e = rtl.read %mem, %a clock %clk "e" : !rtl.memory_type<4 of 64>, i2 -> i64
rtl.write %mem, %a, %w when %en clock %clk mask %x : i8 : !rtl.memory_type<4 of 64>, i2, i64
%plain = rtl.memory "plain" : !rtl.memory_type<1 of 1>
rtl.write %plain, %en, %en when %en clock %clk : !rtl.memory_type<1 of 1>, i1, i1
%rom = rtl.rom "program" %a "3f 1a2 0" : i2 -> i12
%p = rtl.mul %x, %a {rhs_signed} : i8, i2 -> i10
%s = rtl.mul %x, %x {lhs_signed, rhs_signed} : i8, i8 -> i16
%u = rtl.mul %x, %x : i8, i8 -> i16
%late = rtl.delay "late" %x by #builtin.int<3> clock %clk reset %rst : i8 -> i8
%later = rtl.delay "later" %late by #builtin.int<1> clock %clk : i8 -> i8

// CHECK:      %count = rtl.reg "count" clock %clk reset %rst init #builtin.int<5> : i8
// CHECK-NEXT: rtl.next %count, %x when %en : i8, i8
// CHECK-NEXT: %free = rtl.reg "free" clock %clk : i8
// CHECK-NEXT: rtl.next %free, %count : i8, i8
// CHECK-NEXT: %busy = rtl.wire "busy" : i1
// CHECK-NEXT: rtl.assign %busy, %en : i1, i1
// CHECK-NEXT: %mem = rtl.memory "bank" : !rtl.memory_type<4 of 64>
// CHECK-NEXT: %d = rtl.read %mem, %a clock %clk when %en "d" : !rtl.memory_type<4 of 64>, i2 -> i64
// CHECK-NEXT: %e = rtl.read %mem, %a clock %clk "e" : !rtl.memory_type<4 of 64>, i2 -> i64
// CHECK-NEXT: rtl.write %mem, %a, %w when %en clock %clk mask %x : i8 : !rtl.memory_type<4 of 64>, i2, i64
// CHECK-NEXT: %plain = rtl.memory "plain" : !rtl.memory_type<1 of 1>
// CHECK-NEXT: rtl.write %plain, %en, %en when %en clock %clk : !rtl.memory_type<1 of 1>, i1, i1
// CHECK-NEXT: %rom = rtl.rom "program" %a "3f 1a2 0" : i2 -> i12
// CHECK-NEXT: %p = rtl.mul %x, %a {rhs_signed} : i8, i2 -> i10
// CHECK-NEXT: %s = rtl.mul %x, %x {lhs_signed, rhs_signed} : i8, i8 -> i16
// CHECK-NEXT: %u = rtl.mul %x, %x : i8, i8 -> i16
// CHECK-NEXT: %late = rtl.delay "late" %x by #builtin.int<3> clock %clk reset %rst : i8 -> i8
// CHECK-NEXT: %later = rtl.delay "later" %late by #builtin.int<1> clock %clk : i8 -> i8
