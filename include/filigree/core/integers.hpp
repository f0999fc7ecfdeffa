// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/core/concepts.hpp"

namespace filigree {

/// Returns the quotient rounded down: the block of b positions that contains position a, which may be negative.
///
/// Formula    ⌊a / b⌋
/// Edge case  b must be at least 1
constexpr Index floor_div(Index a, Index b) { return a / b - (a % b < 0 ? 1 : 0); }

/// Returns the remainder that belongs to floor_div(a, b), from 0 to b − 1.
///
/// Formula    a − b · ⌊a / b⌋
/// Edge case  b must be at least 1
constexpr Index floor_mod(Index a, Index b) { return a % b < 0 ? a % b + b : a % b; }

namespace detail {

/// Returns the quotient rounded up, for a >= 0.
constexpr Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }

/// Returns the smallest multiple of b that is at least a, for a >= 0.
constexpr Index round_up(Index a, Index b) { return ceil_div(a, b) * b; }

}  // namespace detail
}  // namespace filigree
