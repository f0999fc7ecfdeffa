// SPDX-License-Identifier: MIT
// Includes Catch2 version 2 or 3 and defines the names that differ: Approx, contains.
#pragma once

#include <string>

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
inline auto contains(const std::string& part) { return Catch::Matchers::ContainsSubstring(part); }
#else
#include <catch2/catch.hpp>
inline auto contains(const std::string& part) { return Catch::Matchers::Contains(part); }
#endif

// The scalars of tests that are templates. A build that checks a sample may define fewer.
#if !defined(FILIGREE_TEST_SCALARS)
#define FILIGREE_TEST_SCALARS float, double
#endif
