// SPDX-License-Identifier: MIT
// Names that headers of glibc, Windows and macOS define as macros: complex.h, sys/sysmacros.h, sys/param.h, termios.h,
// curses.h, old versions of ctype.h and math.h, windows.h with its includes, objc.h. Each macro expands to invalid
// code, so that a Filigree header that uses the name does not compile. The names check, require and verify of
// AssertMacros.h are not listed, since the macOS SDKs with C++20 do not define them any more.
#pragma once

#undef I
#define I @
#undef near
#define near @
#undef far
#define far @
#undef small
#define small @
#undef hyper
#define hyper @
#undef leave
#define leave @
#undef except
#define except @
#undef finally
#define finally @
#undef interface
#define interface @
#undef pascal
#define pascal @
#undef cdecl
#define cdecl @
#undef hmemcpy
#define hmemcpy @
#undef environ
#define environ @
#undef major
#define major @
#undef minor
#define minor @
#undef unix
#define unix @
#undef linux
#define linux @
#undef i386
#define i386 @
#undef newline
#define newline @
#undef lines
#define lines @
#undef tab
#define tab @
#undef tone
#define tone @
#undef pulse
#define pulse @
#undef instr
#define instr @
#undef inch
#define inch @
#undef timeout
#define timeout @
#undef buttons
#define buttons @
#undef box
#define box @
#undef boolcodes
#define boolcodes @
#undef numcodes
#define numcodes @
#undef strcodes
#define strcodes @
#undef hline
#define hline @
#undef vline
#define vline @
#undef scroll
#define scroll @
#undef standout
#define standout @
#undef refresh
#define refresh @
#undef touchline
#define touchline @
#undef crmode
#define crmode @
#undef iszero
#define iszero @
#undef hostent
#define hostent @
#undef optreset
#define optreset @
#undef scr1
#define scr1 @
#undef stc1
#define stc1 @
#undef rad1
#define rad1 @
#undef lst1
#define lst1 @
#undef grp1
#define grp1 @
#undef psh1
#define psh1 @
#undef edt1
#define edt1 @
#undef cmb1
#define cmb1 @
#undef chx1
#define chx1 @
#undef frm1
#define frm1 @
#undef ico1
#define ico1 @
#undef ctl1
#define ctl1 @
#undef rct1
#define rct1 @
#undef R8
#define R8 @
#undef R9
#define R9 @
#undef B0
#define B0 @
#undef B50
#define B50 @
#undef B75
#define B75 @
#undef CR0
#define CR0 @
#undef NL0
#define NL0 @
#undef FF0
#define FF0 @
#undef _B
#define _B @
#undef _C
#define _C @
#undef _D
#define _D @
#undef _I
#define _I @
#undef _L
#define _L @
#undef _N
#define _N @
#undef _P
#define _P @
#undef _S
#define _S @
#undef _U
#define _U @
#undef _X
#define _X @
#undef IN
#define IN @
#undef OUT
#define OUT @
#undef OPTIONAL
#define OPTIONAL @
#undef ERROR
#define ERROR @
#undef NO_ERROR
#define NO_ERROR @
#undef VOID
#define VOID @
#undef CONST
#define CONST @
#undef TRUE
#define TRUE @
#undef FALSE
#define FALSE @
#undef BOOL
#define BOOL @
#undef DELETE
#define DELETE @
#undef THIS
#define THIS @
#undef PURE
#define PURE @
#undef STRICT
#define STRICT @
#undef ABSOLUTE
#define ABSOLUTE @
#undef RELATIVE
#define RELATIVE @
#undef DIFFERENCE
#define DIFFERENCE @
#undef TRANSPARENT
#define TRANSPARENT @
#undef OPAQUE
#define OPAQUE @
#undef DOMAIN
#define DOMAIN @
#undef OVERFLOW
#define OVERFLOW @
#undef UNDERFLOW
#define UNDERFLOW @
#undef SING
#define SING @
#undef PLOSS
#define PLOSS @
#undef TLOSS
#define TLOSS @
#undef BSD
#define BSD @
#undef ECHO
#define ECHO @
#undef CSIZE
#define CSIZE @
#undef YES
#define YES @
#undef NO
#define NO @
#undef nil
#define nil @
#undef Nil
#define Nil @
#undef howmany
#define howmany(...) @
#undef roundup
#define roundup(...) @
#undef isset
#define isset(...) @
#undef isclr
#define isclr(...) @
#undef setbit
#define setbit(...) @
#undef clrbit
#define clrbit(...) @
#undef btodb
#define btodb(...) @
#undef dbtob
#define dbtob(...) @
#undef powerof2
#define powerof2(...) @
#undef makedev
#define makedev(...) @
#undef timeradd
#define timeradd(...) @
