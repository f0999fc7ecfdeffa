// SPDX-License-Identifier: MIT
#pragma once

// Checks the compiler options. Other headers include this one first, so that a wrong option gives a single error.

#if (defined(_MSVC_LANG) ? _MSVC_LANG : __cplusplus) < 202002L
#error "filigree: needs C++20: compile with -std=c++20 or later"
#define FILIGREE_CANNOT_COMPILE
#elif !defined(__cpp_exceptions)
#error "filigree: reports errors by exceptions: compile without -fno-exceptions"
#define FILIGREE_CANNOT_COMPILE
#elif defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ > 0)
#error \
    "filigree: needs NaN and infinity, which mark masked entries: compile with -fno-finite-math-only after -ffast-math or -Ofast"
#define FILIGREE_CANNOT_COMPILE
#endif

#if defined(FILIGREE_CANNOT_COMPILE)
#include <the error above says why>  // does not exist: a missing include stops the compiler here, after one error
#endif
