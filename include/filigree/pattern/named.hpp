// SPDX-License-Identifier: MIT
#pragma once

#include <initializer_list>

#include "filigree/pattern/blocks.hpp"
#include "filigree/pattern/causal.hpp"
#include "filigree/pattern/columns.hpp"
#include "filigree/pattern/first.hpp"
#include "filigree/pattern/global.hpp"
#include "filigree/pattern/random.hpp"
#include "filigree/pattern/same_block.hpp"
#include "filigree/pattern/strided.hpp"
#include "filigree/pattern/window.hpp"

// Patterns from the literature, each a combination of the basic patterns.

namespace filigree {

/// Keeps a window of w keys, half on each side, and global tokens (Longformer).
///
/// Formula    window(w / 2) || global(ids)
/// Throws     Error if w is negative
/// Reference  Beltagy et al., arXiv:2004.05150, section 3.1
inline auto longformer(Index w, std::initializer_list<Index> ids) {
  detail::require(w >= 0, "longformer(w, ids): w must be at least 0, got ", w);
  return window(w / 2) || global(ids);
}
/// Longformer for any list of integer ids.
template <detail::IntegerList Ids>
auto longformer(Index w, const Ids& ids) {
  detail::require(w >= 0, "longformer(w, ids): w must be at least 0, got ", w);
  return window(w / 2) || global(ids);
}

/// Keeps blocks of b keys (BigBird). Each block attends to itself, its two neighbors, the first block, the last block
/// and r other random blocks. The first and the last block attend to all keys.
///
/// Formula    blocks(b, P || random(r, seed).excluding(P)), P = window(1) || global({0, -1})
/// Throws     Error if b < 1 or r is negative
/// Reference  Zaheer et al., arXiv:2007.14062, section 2
inline auto bigbird(Index b, Index r, std::uint64_t seed) {
  detail::require(b >= 1, "bigbird(b, r, seed): b must be at least 1, got ", b);
  detail::require(r >= 0, "bigbird(b, r, seed): r must be at least 0, got ", r);
  const auto local = window(1) || global({0, -1});
  return blocks(b, local || random(r, seed).excluding(local));
}

/// Keeps the last l keys and every l-th key before them (Sparse Transformer, strided).
///
/// Formula    causal() && (window(l − 1, 0) || strided(l))
/// Throws     Error if l < 1
/// Reference  Child et al., arXiv:1904.10509, section 4.2
inline auto sparse_transformer_strided(Index l) {
  detail::require(l >= 1, "sparse_transformer_strided(l): l must be at least 1, got ", l);
  return causal() && (window(l - 1, 0) || strided(l));
}

/// Keeps the query's own block of l keys and the last c keys of each preceding block (Sparse Transformer, fixed).
///
/// Formula    causal() && (same_block(l) || columns(l, c))
/// Throws     Error if l < 1, c < 0 or c > l
/// Reference  Child et al., arXiv:1904.10509, section 4.2
inline auto sparse_transformer_fixed(Index l, Index c) {
  detail::require(l >= 1, "sparse_transformer_fixed(l, c): l must be at least 1, got ", l);
  detail::require(c >= 0 && c <= l, "sparse_transformer_fixed(l, c): c must be at least 0 and at most l = ", l,
                  ", got ", c);
  return causal() && (same_block(l) || columns(l, c));
}

/// Keeps the first keys, as attention sinks, and the most recent keys (StreamingLLM).
///
/// Formula    causal() && (first(sinks) || window(recent − 1, 0))
/// Throws     Error if sinks is negative or recent < 1
/// Reference  Xiao et al., arXiv:2309.17453, section 3.2
inline auto streaming(Index sinks, Index recent) {
  detail::require(sinks >= 0, "streaming(sinks, recent): sinks must be at least 0, got ", sinks);
  detail::require(recent >= 1, "streaming(sinks, recent): recent must be at least 1, got ", recent);
  return causal() && (first(sinks) || window(recent - 1, 0));
}

}  // namespace filigree
