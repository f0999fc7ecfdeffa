// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <cmath>
#include <concepts>
#include <cstddef>

#include "filigree/core/check.hpp"
#include "filigree/kernel/kernels.hpp"
#include "filigree/nn/pass.hpp"
#include "filigree/nn/samples.hpp"

namespace filigree::detail {

/// Throws an Error if a sample is not finite.
template <class M>
void require_finite(const M& x, const char* name) {
  const auto check = [&](Index i, Index j, auto value) {
    require(std::isfinite(static_cast<double>(value)), "fit: ", name, "(", i, ", ", j, ") must be finite, got ",
            static_cast<double>(value));
  };
  if constexpr (SparseSamples<M>) {
    each_entry(x, check);
  } else {
    using T = typename M::Scalar;
    for (Index i = 0; i < x.rows(); ++i) {
      if constexpr (std::same_as<T, float> || std::same_as<T, double>) {
        const T* row = x.reader().data() + i * x.reader().row_stride();
        if (std::isfinite(kernel::kernels<T>().magnitude_bound(row, x.cols()))) continue;
      }
      for (Index j = 0; j < x.cols(); ++j) check(i, j, x(i, j));
    }
  }
}

/// Returns samples whose rows can be read in any order. They are copied only if they are stored in another way.
template <class Net, class X>
decltype(auto) samples_of(const X& x) {
  using S = typename Net::Scalar;
  static_assert(StoredReal<typename X::Scalar, S>,
                "filigree: fit: X and Y must have the scalar of the network; cast them with .cast<>()");
  using Sparse = Eigen::SparseMatrix<S, Eigen::RowMajor>;
  if constexpr (std::same_as<X, Sparse>)
    return static_cast<const X&>(x);
  else if constexpr (SparseSamples<X>)
    return Sparse(x.template cast<S>());
  else
    return DenseSamples<typename X::Scalar>(x);
}

/// Throws an Error if the samples and targets of fit do not match the network or are not finite.
template <class Net, class X, class Y>
void require_samples(const Net& net, const X& x, const Y& y, Index sequences = 0) {
  require(x.cols() == net.inputs(), "fit: X.cols() = ", x.cols(), " must be the network's inputs, ", net.inputs());
  require(y.cols() == net.outputs(), "fit: Y.cols() = ", y.cols(), " must be the network's outputs, ", net.outputs());
  require_target_rows(net, x.rows(), sequences, y.rows(), "fit");
  require(x.rows() >= 1, "fit: X must have at least 1 row");
  require_finite(x, "X");
  if (!are_same(x, y)) require_finite(y, "Y");
}

/// Throws an Error if a layer depends on the order of samples, which fit would shuffle.
template <class Net>
void require_no_sequences(const Net& net) {
  net.each_layer([](const auto& layer, std::size_t, Index) {
    require(
        !requires { layer.reads_sequences; },
        "fit: a layer of this network depends on the order of samples, such as attention: pass the samples as "
        "Batch{X, lengths}, or as one sequence with {.batch = 0}");
  });
}

}  // namespace filigree::detail
