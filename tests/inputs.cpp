// SPDX-License-Identifier: MIT
#include "inputs.hpp"

#include <cmath>
#include <limits>

namespace test {

template <class S>
Matrix<S> numbers(Random& random, Index rows, Index cols, Kind kind) {
  Matrix<S> x(rows, cols);
  const double base = random.normal();
  std::vector<double> left(static_cast<std::size_t>(rows)), right(static_cast<std::size_t>(cols));
  for (double& v : left) v = random.normal();
  for (double& v : right) v = random.normal();
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < cols; ++j) {
      double v = 0;
      switch (kind) {
        case Kind::normal: v = random.normal(); break;
        case Kind::heavy_tailed: v = random.normal() * std::exp(2 * random.normal()); break;
        case Kind::constant: v = base; break;
        case Kind::near_tie:
          v = base *
              (1 + static_cast<double>(random.between(-2, 2)) * static_cast<double>(std::numeric_limits<S>::epsilon()));
          break;
        case Kind::low_rank: v = left[static_cast<std::size_t>(i)] * right[static_cast<std::size_t>(j)]; break;
        case Kind::integers: v = static_cast<double>(random.between(-2, 2)); break;
        case Kind::zero: v = random.chance(0.5) ? 0.0 : -0.0; break;
      }
      x(i, j) = static_cast<S>(v);
    }
  return x;
}

template <class S>
Placed<S>::Placed(Random& random, const Matrix<S>& x) : rows_(x.rows()), cols_(x.cols()) {
  const Index step = random.pick<Index>({1, 1, 1, 2, 3}), padding = random.pick<Index>({0, 0, 1, 5});
  const bool by_row = random.chance(0.6);
  inner_ = by_row ? std::max<Index>(cols_ * step + padding, 1) : step;
  outer_ = by_row ? step : std::max<Index>(rows_ * step + padding, 1);
  offset_ = random.between(0, 3);
  memory_.assign(static_cast<std::size_t>(offset_ + 1 + rows_ * inner_ + cols_ * outer_),
                 std::numeric_limits<S>::quiet_NaN());
  map() = x;
}

template <class S>
bool Placed<S>::untouched_between() const {
  std::vector<char> is_entry(memory_.size());
  for (Index i = 0; i < rows_; ++i)
    for (Index j = 0; j < cols_; ++j) is_entry[static_cast<std::size_t>(offset_ + i * inner_ + j * outer_)] = 1;
  for (std::size_t e = 0; e < is_entry.size(); ++e)
    if (is_entry[e] == 0 && memory_[e] == memory_[e]) return false;
  return true;
}

template Matrix<float> numbers(Random&, Index, Index, Kind);
template Matrix<double> numbers(Random&, Index, Index, Kind);
template class Placed<float>;
template class Placed<double>;
template class Placed<Eigen::half>;
template class Placed<Eigen::bfloat16>;

}  // namespace test
