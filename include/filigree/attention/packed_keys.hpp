// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <type_traits>

#include "filigree/engine/panels.hpp"

namespace filigree {

/// Keys packed once for many queries. Pass it as K to scores(Q, K). It owns its memory, which copies share.
template <Real S>
class PackedKeys {
 public:
  using Scalar = S;

  template <class R>
    requires requires(const R& k) { k.copy_row(0, static_cast<S*>(nullptr)); }
  explicit PackedKeys(const R& k) : memory_(std::make_shared<detail::Buffer>()) {
    S* data = memory_->get<S>(detail::PackedPanels<S>::size(k.rows(), k.cols()));
    panels_ = detail::pack_panels_to(k, data, [](Index tasks, auto&& f) { serial().run(tasks, f); });
  }
  /// Refers to keys that are already packed, in memory that must outlive this object.
  explicit PackedKeys(const detail::PackedPanels<S>& panels) : panels_(panels) {}

  [[nodiscard]] Index rows() const { return panels_.m; }
  [[nodiscard]] Index cols() const { return panels_.d; }
  [[nodiscard]] const detail::PackedPanels<S>& panels() const { return panels_; }

 private:
  std::shared_ptr<detail::Buffer> memory_;
  detail::PackedPanels<S> panels_{};
};

namespace detail {
template <class T>
inline constexpr bool is_packed = false;
template <class S>
inline constexpr bool is_packed<PackedKeys<S>> = true;
}  // namespace detail

/// Packs keys once, for many queries. Pass the result as K to scores(Q, K).
///
/// Shapes  K: m x d, any dense expression. The packed scalar is float if K has half or bfloat16
/// Cost    m*d copies, and memory for m*d scalars
template <DenseExpression K>
auto pack(const K& k) {
  using T = typename K::Scalar;
  static_assert(Real<T> || StoredReal<T, float>,
                "filigree: pack(K): the scalar must be float or double, or half or bfloat16");
  return PackedKeys<std::conditional_t<Real<T>, T, float>>(detail::reader_of(k));
}

}  // namespace filigree
