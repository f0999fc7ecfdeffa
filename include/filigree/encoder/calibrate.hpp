// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <tuple>
#include <vector>

#include "filigree/encoder/autoencoder.hpp"
#include "filigree/select/batch_top_k.hpp"
#include "filigree/select/threshold.hpp"

namespace filigree {

namespace detail {

/// The stages of an encoder with the threshold where batch_top_k was.
template <class T>
const T& with_threshold(const T& stage, const Threshold&) {
  return stage;
}
inline Threshold with_threshold(const BatchTopK&, const Threshold& threshold) { return threshold; }

/// The `count` largest numbers that are shown to it, and the next one.
template <Real S>
class Largest {
 public:
  explicit Largest(std::size_t count) : count_(count) {}
  void show(S x) {
    if (x > bound_) best_.push_back(x);
    if (best_.size() >= 2 * count_ + 1024) keep_top_k_of();
  }
  /// The largest number that is not among them; -infinity if there is none.
  S next() {
    if (best_.size() <= count_) return -std::numeric_limits<S>::infinity();
    keep_top_k_of();
    return *std::min_element(best_.begin(), best_.end());
  }

 private:
  void keep_top_k_of() {
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

/// Returns an autoencoder for one sample at a time from one that was trained with batch_top_k(k): the same parameters,
/// with threshold(t) in its place. t is the largest number of the calibration samples that batch_top_k would not keep
/// if it chose among all of them together. So k latents are active on average over these samples, exactly if no two
/// numbers tie at t.
///
/// Samples of training may be too easy: on others more latents may be active. Those that it has not seen tell better.
/// Shapes     X: N x inputs, the more the better
/// Cost       encoding of N samples, and O(k N) memory
/// Throws     Error if X has no rows, X.cols() is not inputs(), or a number that batch_top_k chooses from is not finite
/// Reference  Bussmann et al., arXiv:2412.06410, section 3, whose threshold is the mean over batches of the smallest
///            number that was kept
template <class... E, class... D, DenseExpression X>
auto calibrated(const Autoencoder<std::tuple<E...>, std::tuple<D...>>& sae, const X& samples) {
  using Sae = Autoencoder<std::tuple<E...>, std::tuple<D...>>;
  using S = typename Sae::Scalar;
  constexpr std::size_t at = [] {
    constexpr bool chooses[] = {std::same_as<E, BatchTopK>..., true};
    std::size_t first = 0;
    while (!chooses[first]) ++first;
    return first;
  }();
  static_assert(at < sizeof...(E), "filigree: calibrated(sae, X): the encoder has no batch_top_k");
  detail::require(samples.rows() >= 1, "calibrated(sae, X): X must have at least 1 row");

  const Index n = samples.rows(), k = (std::min)(sae.template stage<at>().k, sae.width(at));
  detail::Largest<S> largest(static_cast<std::size_t>(k * n));
  constexpr Index batch = 1024;
  for (Index first = 0; first < n; first += batch) {
    const auto numbers = sae.template before<at>(samples.middleRows(first, (std::min)(batch, n - first)));
    for (Index e = 0; e < numbers.size(); ++e) {
      detail::require(std::isfinite(numbers.data()[e]),
                      "calibrated(sae, X): what batch_top_k chooses from must be finite; "
                      "latent ",
                      e % numbers.cols(), " of sample ", first + e / numbers.cols(), " is ", numbers.data()[e]);
      largest.show(numbers.data()[e]);
    }
  }
  const Threshold bound = threshold(static_cast<double>(largest.next()));

  const auto stages = [&]<std::size_t... L>(std::index_sequence<L...>) {
    return std::make_tuple(detail::with_threshold(sae.template stage<L>(), bound)...);
  };
  auto encoder = stages(std::make_index_sequence<sizeof...(E)>{});
  auto decoder = [&]<std::size_t... L>(std::index_sequence<L...>) {
    return std::make_tuple(sae.template stage<sizeof...(E) + L>()...);
  }
  (std::make_index_sequence<sizeof...(D)>{});
  Autoencoder<decltype(encoder), decltype(decoder)> result(std::move(encoder), std::move(decoder), 0);
  result.parameters() = sae.parameters();
  return result;
}

}  // namespace filigree
