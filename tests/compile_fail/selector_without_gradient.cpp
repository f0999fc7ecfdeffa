// expect: filigree: this selector does not say what its gradient is
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

struct Shrink {
  using Category = fg::Selector;

  template <class S>
  void apply(fg::Row<S>& row) const {
    for (Eigen::Index i = 0; i < row.count; ++i) row.values[i] /= 2;
  }
};
struct Positive {
  using Category = fg::Selector;
  static constexpr bool passes_gradient = true;

  template <class S>
  void apply(fg::Row<S>& row) const {
    row.filter([&](Eigen::Index i) { return !(row.values[i] <= 0); });
  }
};

int main() {
#ifdef FILIGREE_MUST_FAIL
  const auto net = fg::network(fg::linear(4, 2) | Shrink{});
#else
  const auto net = fg::network(fg::linear(4, 2) | Positive{});
#endif
  return net(Eigen::MatrixXf::Zero(3, 4)).cols() == 2 ? 0 : 1;
}
