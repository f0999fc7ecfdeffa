// SPDX-License-Identifier: MIT
#include "reverse_sums.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "compare.hpp"

namespace test {

using oracle::Real;

template <class S>
ReverseReference<S>::ReverseReference(const Matrix<S>& q, const Matrix<S>& k, const Matrix<S>& v,
                                      const Matrix<S>& d_out, S scale)
    : q_(q), k_(k), v_(v), d_out_(d_out), scale_(scale) {
  using Table = ReverseSums::Table;
  const Index n = q.rows(), m = k.rows(), d = q.cols(), dv = v.cols();
  sums_ = {Table::Zero(n, d), Table::Zero(m, d), Table::Zero(m, dv),
           Table::Zero(n, d), Table::Zero(m, d), Table::Zero(m, dv)};
}

template <class S>
Index ReverseReference<S>::scores(Index i, S* values, filigree::kernel::Column* columns) {
  row_ = i;
  height_ = 300;  // of scores: maps may add a bias or a distance
  Index count = 0;
  for (Index c = 0; c < k_.rows(); ++c) {
    const S s = computed_score(q_.data() + i * q_.cols(), k_.data() + c * k_.cols(), q_.cols(), scale_);
    if (s == -std::numeric_limits<S>::infinity()) continue;
    height_ = std::max(height_, std::abs(Real(s)));
    values[count] = s;
    columns[count++] = static_cast<filigree::kernel::Column>(c);
  }
  return count;
}

template <class S>
void ReverseReference<S>::add_weights(const S* weights, const filigree::kernel::Column* columns, Index count, Real gain,
                                      S* dw) {
  const Real eps = std::numeric_limits<S>::epsilon(), tiny = std::numeric_limits<S>::min();
  const Index n = q_.rows(), m = k_.rows(), dv = v_.cols();
  kept_.assign(static_cast<std::size_t>(m), 0);
  Real largest = 0;  // of the sums of magnitudes in dW
  for (Index e = 0; e < count; ++e) {
    const Index c = columns[e];
    kept_[static_cast<std::size_t>(c)] = 1;
    Real sum = 0, magnitude = 0;
    for (Index f = 0; f < dv; ++f) {
      const Real d = d_out_(row_, f), product = d * Real(v_(c, f));
      sum += product;
      magnitude += std::abs(product);
      sums_.v(c, f) += Real(weights[e]) * d;
      sums_.v_bound(c, f) +=
          ((200 + Real(n)) * std::abs(Real(weights[e])) + 8 * gain * height_) * eps * std::abs(d) + tiny;
    }
    dw[e] = static_cast<S>(sum);
    largest = std::max(largest, magnitude);
  }
  error_ = (Real(200 + m + 4 * dv) + 8 * height_) * eps * gain * largest + 16 * tiny;
}

template <class S>
void ReverseReference<S>::add_scores(const S* gradient, const filigree::kernel::Column* columns, Index count) {
  const Real eps = std::numeric_limits<S>::epsilon(), tiny = std::numeric_limits<S>::min();
  const Index n = q_.rows(), m = k_.rows();
  for (Index e = 0; e < count; ++e) {
    const Index c = columns[e];
    const Real ds = Real(scale_) * Real(gradient[e]);
    if (ds == 0 && kept_[static_cast<std::size_t>(c)] == 0) continue;  // no gradient at all
    const Real bound = Real(200 + n + m) * eps * std::abs(ds) + std::abs(Real(scale_)) * error_;
    for (Index f = 0; f < q_.cols(); ++f) {
      sums_.q(row_, f) += ds * Real(k_(c, f));
      sums_.k(c, f) += ds * Real(q_(row_, f));
      sums_.q_bound(row_, f) += bound * std::abs(Real(k_(c, f))) + tiny;
      sums_.k_bound(c, f) += bound * std::abs(Real(q_(row_, f))) + tiny;
    }
  }
}

template <class S>
std::optional<std::string> gradient_differs(const char* name, const Matrix<S>& got, const ReverseSums::Table& sums,
                                            const ReverseSums::Table& bounds) {
  if (got.rows() != sums.rows() || got.cols() != sums.cols()) return std::string("the shape of ") + name;
  for (Index i = 0; i < got.rows(); ++i)
    for (Index f = 0; f < got.cols(); ++f)
      if (!(std::abs(Real(got(i, f)) - sums(i, f)) <= bounds(i, f)))
        return std::string(name) + " at (" + std::to_string(i) + ", " + std::to_string(f) + ") is " +
               std::to_string(got(i, f)) + ", must be " + std::to_string(static_cast<double>(sums(i, f))) + ", bound " +
               std::to_string(static_cast<double>(bounds(i, f)));
  return std::nullopt;
}

template class ReverseReference<float>;
template class ReverseReference<double>;
template std::optional<std::string> gradient_differs(const char*, const Matrix<float>&, const ReverseSums::Table&,
                                                     const ReverseSums::Table&);
template std::optional<std::string> gradient_differs(const char*, const Matrix<double>&, const ReverseSums::Table&,
                                                     const ReverseSums::Table&);

}  // namespace test
