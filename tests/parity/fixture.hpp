// SPDX-License-Identifier: MIT
// Access to the results of public implementations (see data/README.md), and the deviation from them.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "inputs.hpp"
#include "parity/npy.hpp"

namespace parity {

using test::Index;
using test::Matrix;

template <class S>
using Vector = Eigen::Matrix<S, Eigen::Dynamic, 1>;

/// A folder of arrays below data.
class Fixture {
 public:
  explicit Fixture(const std::string& name) : folder_(std::string(FILIGREE_PARITY_DATA) + "/" + name + "/") {}

  template <class T>
  [[nodiscard]] Array<T> array(const std::string& name) const {
    return read_npy<T>(folder_ + name + ".npy");
  }
  template <class S>
  [[nodiscard]] Matrix<S> matrix(const std::string& name) const {
    const Array<S> a = array<S>(name);
    if (a.shape.size() != 2) throw std::runtime_error(folder_ + name + ".npy: is no matrix");
    return Eigen::Map<const Matrix<S>>(a.values.data(), a.shape[0], a.shape[1]);
  }
  template <class S>
  [[nodiscard]] Vector<S> vector(const std::string& name) const {
    const Array<S> a = array<S>(name);
    return Eigen::Map<const Vector<S>>(a.values.data(), static_cast<Index>(a.values.size()));
  }
  [[nodiscard]] std::vector<Index> integers(const std::string& name) const { return array<Index>(name).values; }
  [[nodiscard]] Index integer(const std::string& name) const { return integers(name).at(0); }

  /// Applies the linear layer of that name: x W' + b.
  template <class S>
  [[nodiscard]] Matrix<S> linear(const std::string& name, const Matrix<S>& x) const {
    return (x * matrix<S>(name + "_weight").transpose()).rowwise() + vector<S>(name + "_bias").transpose();
  }

 private:
  std::string folder_;
};

/// The tolerance for two evaluations of one formula in double or in float, relative to the largest magnitude of the
/// result.
template <class S>
inline constexpr double tolerance = std::is_same_v<S, double> ? 1e-10 : 1e-5;
/// The tolerance if the reference computes in float.
inline constexpr double float_tolerance = 1e-5;

/// Returns the largest difference divided by the largest finite magnitude of `expected`; infinity if an entry is
/// infinite or NaN on one side only.
template <class A, class B>
double deviation(const A& got, const B& expected) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (got.rows() != expected.rows() || got.cols() != expected.cols()) return infinity;
  double largest = 0, scale = 0;
  for (Index i = 0; i < got.rows(); ++i)
    for (Index j = 0; j < got.cols(); ++j) {
      const auto a = static_cast<double>(got(i, j)), b = static_cast<double>(expected(i, j));
      if (std::isfinite(b)) scale = std::max(scale, std::abs(b));
      if (a == b || (std::isnan(a) && std::isnan(b))) continue;
      const double difference = std::abs(a - b);
      largest = std::max(largest, std::isfinite(difference) ? difference : infinity);
    }
  return largest == 0 ? 0 : largest / scale;
}

}  // namespace parity
