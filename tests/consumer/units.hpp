// SPDX-License-Identifier: MIT
#pragma once

constexpr int length = 100, width = 24;

/// out = top-4 causal attention of q, k and v, all of them row-major.
using Attention = void (*)(const float* q,  // [length][width]
                           const float* k,  // [length][width]
                           const float* v,  // [length][width]
                           float* out);     // [length][width]

/// Hands a translation unit's attention to main; any number of units may do so.
bool add_unit(Attention attention);
