// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <tuple>
#include <vector>

#include "filigree/core/with_indices.hpp"
#include "filigree/encoder/autoencoder.hpp"
#include "filigree/select/batch_top_k.hpp"
#include "filigree/select/threshold.hpp"

namespace filigree {

namespace detail {

/// Returns a stage of an encoder, or the threshold if the stage is batch_top_k.
template <class T>
const T& with_threshold(const T& stage, const Threshold&) {
  return stage;
}
inline Threshold with_threshold(const BatchTopK&, const Threshold& threshold) { return threshold; }

/// Selects the (count + 1)-th largest of a stream of numbers.
template <Real S>
class Largest {
 public:
  explicit Largest(std::size_t count) : count_(count) {}
  void add(S x) {
    if (x > bound_) best_.push_back(x);
    if (best_.size() >= 2 * count_ + 1024) shrink();
  }
  /// Returns the largest number that is not among the `count` largest; -infinity if there is none.
  S next() {
    if (best_.size() <= count_) return -std::numeric_limits<S>::infinity();
    shrink();
    return *std::min_element(best_.begin(), best_.end());
  }

 private:
  /// Discards all numbers but the count + 1 largest.
  void shrink() {
    const auto end = best_.begin() + static_cast<std::ptrdiff_t>(count_);
    std::nth_element(best_.begin(), end, best_.end(), std::greater<S>());
    bound_ = *end;
    best_.erase(end + 1, best_.end());
  }

  std::size_t count_;
  std::vector<S> best_;
  S bound_ = -std::numeric_limits<S>::infinity();
};

}  // namespace detail

/// Returns an autoencoder that replaces batch_top_k(k) by threshold(t), so that it can encode single samples.
///
/// The parameters stay the same. t is the largest value that batch_top_k(k) drops when it is applied to all calibration
/// samples together. On these samples k latents are active on average, exactly k if no other value equals t.
/// Prefer samples that were not used for training. A threshold from training samples may be too low: more latents may
/// then be active on new samples.
/// Shapes     X: N x inputs; more samples give a better threshold
/// Cost       encoding of N samples, and O(k N) memory
/// Throws     Error if X has no rows, X.cols() is not inputs(), or an input of batch_top_k is not finite
/// Reference  Bussmann et al., arXiv:2412.06410, section 3, where the threshold is the mean over batches of the
///            smallest kept value
template <class... E, class... D, DenseExpression X>
auto calibrated(const Autoencoder<std::tuple<E...>, std::tuple<D...>>& sae, const X& samples) {
  using Sae = Autoencoder<std::tuple<E...>, std::tuple<D...>>;
  using S = typename Sae::Scalar;
  constexpr std::size_t at = [] {
    constexpr bool is_batch_top_k[] = {std::same_as<E, BatchTopK>..., true};
    std::size_t first = 0;
    while (!is_batch_top_k[first]) ++first;
    return first;
  }();
  static_assert(at < sizeof...(E), "filigree: calibrated(sae, X): the encoder has no batch_top_k");
  detail::require(samples.rows() >= 1, "calibrated(sae, X): X must have at least 1 row");

  const Index n = samples.rows(), k = (std::min)(sae.template stage<at>().k, sae.width(at));
  detail::Largest<S> largest(static_cast<std::size_t>(k * n));
  constexpr Index batch = 1024;
  for (Index first = 0; first < n; first += batch) {
    const auto values = sae.template before<at>(samples.middleRows(first, (std::min)(batch, n - first)));
    for (Index e = 0; e < values.size(); ++e) {
      detail::require(std::isfinite(values.data()[e]),
                      "calibrated(sae, X): the inputs of batch_top_k must be finite; latent ", e % values.cols(),
                      " of sample ", first + e / values.cols(), " is ", values.data()[e]);
      largest.add(values.data()[e]);
    }
  }
  const Threshold bound = threshold(static_cast<double>(largest.next()));

  const auto stages = [&]<std::size_t... L>(std::index_sequence<L...>) {
    return std::make_tuple(detail::with_threshold(sae.template stage<L>(), bound)...);
  };
  auto encoder = stages(std::make_index_sequence<sizeof...(E)>{});
  auto decoder = detail::with_indices<sizeof...(D)>([&]<std::size_t... L>(std::index_sequence<L...>) {
    return std::make_tuple(sae.template stage<sizeof...(E) + L>()...);
  });
  Autoencoder<decltype(encoder), decltype(decoder)> result(std::move(encoder), std::move(decoder), 0);
  result.parameters() = sae.parameters();
  return result;
}

}  // namespace filigree
