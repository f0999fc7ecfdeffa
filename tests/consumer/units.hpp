// SPDX-License-Identifier: MIT
#pragma once

constexpr int length = 100, width = 24;

/// Computes top-4 causal attention of row-major q, k and v.
using Attention = void (*)(const float* q,  // [length][width]
                           const float* k,  // [length][width]
                           const float* v,  // [length][width]
                           float* out);     // [length][width]

/// Registers the attention of a translation unit with main. Any number of units may call it.
bool add_unit(Attention attention);
