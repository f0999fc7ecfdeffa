// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "filigree/nn/layer/layer_norm.hpp"
#include "filigree/nn/layer/linear.hpp"
#include "filigree/nn/layer/rms_norm.hpp"
#include "filigree/nn/stage_text.hpp"
#include "filigree/transformer/attention.hpp"
#include "filigree/transformer/cross_attention.hpp"
#include "filigree/transformer/embedding.hpp"
#include "filigree/transformer/longformer_attention.hpp"
#include "filigree/transformer/positions.hpp"

namespace filigree {

/// The names that a file of tensors has for the parameters of a network, as the modules of PyTorch name them.
///
/// There is one entry for each layer with parameters, in order. An embedding has one name for each table. A linear
/// layer has one name, or one for each range of its columns: three for the projection of attention(), those of queries,
/// keys and values; two for that of the memory in cross_attention(), of keys and values; and six for that of
/// longformer_attention(). Other layers have one name. The file has tensors with `.weight` and `.bias` after the name;
/// the weights of linear layers are transposed there, [out, in]. Entries with {} are the layers of repeat(): they
/// repeat as often as the network needs, with the number of the copy for {}.
struct TensorNames {
  std::vector<std::vector<std::string>> layers;
  std::vector<std::string> prefixes = {""};  ///< a file has one of these in front of all names
};

namespace detail {

/// A tensor of a file and its place among the parameters of a network.
struct TensorPlace {
  std::string name;
  Index offset, rows, cols, stride;  // in the network: a matrix of rows, `stride` apart
  bool transposed, is_vector;

  [[nodiscard]] std::vector<Index> shape() const {
    return is_vector ? std::vector<Index>{cols} : transposed ? std::vector<Index>{cols, rows} : std::vector{rows, cols};
  }
};

/// A layer with parameters: its matrices, whose columns or rows may have several names, and its biases.
struct NamedLayer {
  std::string text;
  Index offset = 0, rows = 0, cols = 0;
  std::vector<Index> parts = {};  // the columns of each name of a linear layer, or the rows of each table
  enum class Kind { tables, linear, vectors } kind = Kind::vectors;
  bool has_offsets = false;  // of vectors

  /// Appends the tensors of the layer.
  void add_places(const std::vector<std::string>& names, std::vector<TensorPlace>& to) const {
    const bool is_linear = kind == Kind::linear, one = names.size() == 1;
    require(names.size() == parts.size() || (is_linear && one), "names.layers: ", text, " needs ",
            is_linear && parts.size() > 1 ? "1 or " : "", parts.size(), " names, got ", names.size());
    Index first = 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const Index part = is_linear && one ? cols : parts[i];
      if (kind == Kind::tables)
        to.push_back({names[i] + ".weight", offset + first * cols, part, cols, cols, false, false});
      else if (is_linear)
        to.push_back({names[i] + ".weight", offset + first, rows, part, cols, true, false});
      else
        to.push_back({names[i] + ".weight", offset, 1, cols, cols, false, true});
      if (is_linear || has_offsets)
        to.push_back({names[i] + ".bias", offset + rows * cols + first, 1, part, part, false, true});
      first += part;
    }
  }
};

template <class L>
inline constexpr bool is_attention_heads = false;
template <Real S, class Head>
inline constexpr bool is_attention_heads<AttentionHeads<S, Head>> = true;
template <class L>
inline constexpr bool is_longformer_heads = false;
template <Real S>
inline constexpr bool is_longformer_heads<LongformerHeads<S>> = true;
template <class L>
inline constexpr bool is_cross_attention_heads = false;
template <Real S, class Head>
inline constexpr bool is_cross_attention_heads<CrossAttentionHeads<S, Head>> = true;

/// Collects the layers of a network that have parameters.
class NamedLayers {
 public:
  std::vector<NamedLayer> layers;

  template <class L>
  void operator()(const L& layer, std::size_t, Index offset) {
    const auto add = [&](NamedLayer one) {
      one.offset = offset;
      layers.push_back(std::move(one));
    };
    using Kind = NamedLayer::Kind;
    if constexpr (is_attention_heads<L>) {
      const Index keys = layer.count.hkv * layer.width;
      if (!layers.empty() && layers.back().kind == Kind::linear && layers.back().cols == layer.inputs())
        layers.back().parts = {layer.count.h * layer.width, keys, keys};
    } else if constexpr (is_longformer_heads<L>) {
      const Index part = layer.h * layer.width;
      add({.text = layer.text(),
           .rows = layer.projection.in,
           .cols = 6 * part,
           .parts = std::vector<Index>(6, part),
           .kind = Kind::linear});
    } else if constexpr (is_cross_attention_heads<L>) {
      const Index keys = layer.count.hkv * layer.width;
      add({.text = text_of("the projection of the memory, linear(", layer.projection.in, ", ", 2 * keys, "),"),
           .rows = layer.projection.in,
           .cols = 2 * keys,
           .parts = {keys, keys},
           .kind = Kind::linear});
    } else if constexpr (requires { typename L::Scalar; }) {
      using S = typename L::Scalar;
      if constexpr (std::is_same_v<L, Embedding<S>>) {
        add({.text = layer.text(), .cols = layer.d, .parts = layer.counts, .kind = Kind::tables});
      } else if constexpr (std::is_same_v<L, LearnedPositions<S>>) {
        add({.text = text_of("positions::learned(", layer.max, ", ", layer.d, ")"),
             .cols = layer.d,
             .parts = {layer.max},
             .kind = Kind::tables});
      } else if constexpr (std::is_same_v<L, Linear<S>>) {
        const std::string text = text_of("linear(", layer.in, ", ", layer.out, ")");
        require(layer.skip == 0, "names.layers: ", text, " must not have a skip connection");
        add({.text = text, .rows = layer.in, .cols = layer.out, .parts = {layer.out}, .kind = Kind::linear});
      } else if constexpr (std::is_same_v<L, LayerNorm<S>>) {
        add({.text = text_of("layer_norm(", layer.width, ")"),
             .rows = 1,
             .cols = layer.width,
             .parts = {layer.width},
             .has_offsets = true});
      } else if constexpr (std::is_same_v<L, RmsNorm<S>>) {
        add({.text = text_of("rms_norm(", layer.width, ")"), .rows = 1, .cols = layer.width, .parts = {layer.width}});
      } else {
        require_no_parameters(layer);
      }
    } else {
      require_no_parameters(layer);
    }
  }

 private:
  template <class L>
  static void require_no_parameters(const L& layer) {
    require(layer.parameter_count() == 0, "names.layers: ", stage_text(layer),
            " has parameters, and files of tensors with this layer are not supported");
  }
};

inline bool is_of_copy(const std::vector<std::string>& names) {
  for (const std::string& name : names)
    if (name.find("{}") != std::string::npos) return true;
  return false;
}

/// Returns the tensors of a network, without a prefix, in the order of its layers.
template <class Net>
std::vector<TensorPlace> places_of(const Net& net, const TensorNames& names) {
  NamedLayers all;
  net.each_layer(all);
  const std::size_t entries = names.layers.size(), count = all.layers.size();
  std::size_t first = 0;
  while (first < entries && !is_of_copy(names.layers[first])) ++first;
  std::size_t last = first;
  while (last < entries && is_of_copy(names.layers[last])) ++last;
  const std::size_t repeated = last - first, others = entries - repeated;
  const bool fits = count >= others && (repeated == 0 ? count == others : (count - others) % repeated == 0);
  require(fits, "names.layers: the network has ", count, " layers with parameters, the names are those of ", others,
          " layers", repeated == 0 ? "" : " and a multiple of " + std::to_string(repeated));
  const std::size_t copies = repeated == 0 ? 0 : (count - others) / repeated;

  std::vector<TensorPlace> places;
  for (std::size_t l = 0; l < count; ++l) {
    const bool is_copy = l >= first && l < first + copies * repeated;
    const std::size_t entry = l < first ? l : is_copy ? first + (l - first) % repeated : l - (copies - 1) * repeated;
    std::vector<std::string> layer = names.layers[entry];
    if (is_copy)
      for (std::string& name : layer)
        if (const std::size_t at = name.find("{}"); at != std::string::npos)
          name.replace(at, 2, std::to_string((l - first) / repeated));
    all.layers[l].add_places(layer, places);
  }
  return places;
}

}  // namespace detail
}  // namespace filigree
