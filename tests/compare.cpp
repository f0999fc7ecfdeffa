// SPDX-License-Identifier: MIT
#include "compare.hpp"

#include <cmath>
#include <filigree/kernel/kernels.hpp>
#include <limits>
#include <vector>

namespace test {

template <class S>
S computed_score(const S* q, const S* k, Index d, S scale) {
  S sum = 0;
  if (filigree::kernel::kernels<S>().fused()) {
    for (Index f = 0; f < d; ++f) sum = std::fma(q[f], k[f], sum);
  } else {
    for (Index f = 0; f < d; ++f) sum = sum + q[f] * k[f];
  }
  return sum * scale;
}

template <class S>
bool fill_scores(oracle::Table& t, const Matrix<S>& q, const Matrix<S>& k, S scale) {
  bool within = true;
  for (Index i = 0; i < t.n; ++i)
    for (Index c = 0; c < t.m; ++c) {
      const S s = computed_score(q.data() + i * q.cols(), k.data() + c * k.cols(), q.cols(), scale);
      oracle::Real exact = 0, sizes = 0;
      for (Index f = 0; f < q.cols(); ++f) {
        exact += oracle::Real(q(i, f)) * k(c, f);
        sizes += std::abs(oracle::Real(q(i, f)) * k(c, f));
      }
      const oracle::Real bound =
          (static_cast<oracle::Real>(q.cols()) + 2) * t.eps() * sizes * std::abs(oracle::Real(scale)) +
          static_cast<oracle::Real>(2 * q.cols() + 2) * t.tiny();
      within = within && std::abs(s - exact * oracle::Real(scale)) <= bound;
      t.at(i, c).value = s;
      if (s == -std::numeric_limits<S>::infinity()) oracle::drop(t, i, c);
    }
  return within;
}

template <class S>
std::optional<std::string> differs(const oracle::Table& t, const Eigen::SparseMatrix<S, Eigen::RowMajor>& w) {
  if (w.rows() != t.n || w.cols() != t.m) return "the shape";
  for (Index i = 0; i < t.n; ++i) {
    if (t.open[oracle::Table::size(i)] != 0) continue;
    std::vector<std::optional<S>> row(static_cast<std::size_t>(t.m));
    for (typename Eigen::SparseMatrix<S, Eigen::RowMajor>::InnerIterator e(w, i); e; ++e)
      row[static_cast<std::size_t>(e.col())] = e.value();
    for (Index c = 0; c < t.m; ++c) {
      const oracle::Entry& e = t.at(i, c);
      const auto& got = row[static_cast<std::size_t>(c)];
      const std::string position = "(" + std::to_string(i) + ", " + std::to_string(c) + ") ";
      if (got.has_value() && e.presence == oracle::absent)
        return position + "must be absent and is " + std::to_string(*got);
      if (!got.has_value() && e.presence == oracle::present)
        return position + "is absent and must be " + std::to_string(e.value);
      const oracle::Real value = got.has_value() ? oracle::Real(*got) : 0;
      if (!(std::abs(value - e.value) <= e.error))
        return position + "is " + std::to_string(value) + ", must be " + std::to_string(e.value) + "; the error is " +
               std::to_string(static_cast<double>(std::abs(value - e.value) / (e.error > 0 ? e.error : 1))) +
               " times its bound";
    }
  }
  return std::nullopt;
}

template <class S>
std::optional<std::string> product_differs(const oracle::Table& t, const Matrix<S>& v, const Matrix<S>& out) {
  for (Index i = 0; i < t.n; ++i) {
    if (t.open[oracle::Table::size(i)] != 0) continue;
    const auto columns = oracle::columns(t, i);
    for (Index f = 0; f < v.cols(); ++f) {
      oracle::Real sum = 0, bound = 0;
      for (const Index c : columns) {
        const oracle::Entry& e = t.at(i, c);
        sum += e.value * oracle::Real(v(c, f));
        bound += (e.error + static_cast<oracle::Real>(columns.size() + 2) * t.eps() * std::abs(e.value)) *
                     std::abs(oracle::Real(v(c, f))) +
                 t.tiny();
      }
      if (columns.empty() && !same_bits(out(i, f), S(0))) return "row " + std::to_string(i) + " of A * V must be +0";
      if (!(std::abs(out(i, f) - sum) <= bound))
        return "A * V at (" + std::to_string(i) + ", " + std::to_string(f) + ")";
    }
  }
  return std::nullopt;
}

template float computed_score(const float*, const float*, Index, float);
template bool fill_scores(oracle::Table&, const Matrix<float>&, const Matrix<float>&, float);
template std::optional<std::string> differs(const oracle::Table&, const Eigen::SparseMatrix<float, Eigen::RowMajor>&);
template std::optional<std::string> product_differs(const oracle::Table&, const Matrix<float>&, const Matrix<float>&);
template double computed_score(const double*, const double*, Index, double);
template bool fill_scores(oracle::Table&, const Matrix<double>&, const Matrix<double>&, double);
template std::optional<std::string> differs(const oracle::Table&, const Eigen::SparseMatrix<double, Eigen::RowMajor>&);
template std::optional<std::string> product_differs(const oracle::Table&, const Matrix<double>&, const Matrix<double>&);

}  // namespace test
