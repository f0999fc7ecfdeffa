// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "filigree/core/list.hpp"
#include "filigree/core/with_indices.hpp"
#include "filigree/nn/samples.hpp"
#include "filigree/nn/stage_text.hpp"
#include "filigree/nn/term.hpp"

// Descriptions of a training as text. A checkpoint stores them, so that a different training of the same size does not
// resume from it.

namespace filigree::detail {

/// Describes the stages of a network and the widths between them: "16 | Linear<float> | 24 | TopK(4) | ...".
template <class Net>
std::string network_text(const Net& net) {
  std::string text = text_of(net.width(0));
  with_indices<Net::depth>([&]<std::size_t... L>(std::index_sequence<L...>) {
    ((text += text_of(" | ", stage_text(net.template stage<L>()), " | ", net.width(L + 1))), ...);
  });
  return text;
}

/// Describes the terms of an objective and their factors.
template <Term T>
std::string objective_text(const T& objective) {
  std::string text;
  each_term(objective, 1, [&](const auto& term, double factor) {
    text += text_of(text.empty() ? "" : " + ", factor, " ", stage_text(term));
  });
  return text;
}

/// Describes the shapes of samples and targets.
template <class X, class Y>
std::string samples_text(const X& x, const Y& y) {
  const auto kind = [](bool sparse) { return sparse ? " sparse" : " dense"; };
  return text_of(x.rows(), "x", x.cols(), kind(SparseSamples<X>), ", ", y.rows(), "x", y.cols(),
                 kind(SparseSamples<Y>));
}

/// Describes the lengths of sequences: their number, and a hash of them.
inline std::string lengths_text(Slice<Index> lengths) {
  if (lengths.empty()) return "";
  std::uint64_t hash = 0xCBF29CE484222325;  // FNV-1a
  for (const Index length : lengths) hash = (hash ^ static_cast<std::uint64_t>(length)) * 0x100000001B3;
  return text_of(", ", lengths.size(), " sequences, ", static_cast<Index>(hash >> 1));
}

}  // namespace filigree::detail
