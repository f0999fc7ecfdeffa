// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "filigree/coding/encode_rows.hpp"
#include "filigree/coding/known.hpp"
#include "filigree/core/lazy.hpp"
#include "filigree/core/operand.hpp"
#include "filigree/pipe/weights.hpp"

namespace filigree {

/// Codes of samples in a dictionary, as a lazy matrix. They are computed when they are assigned to a sparse or dense
/// matrix, or piped into a stage.
///
/// Shapes    N x k
/// Aliasing  safe
template <class X, class D, class Method>
class Encoding : public LazyMatrix<Encoding<X, D, Method>, typename std::remove_cvref_t<X>::Scalar> {
 public:
  using Scalar = typename std::remove_cvref_t<X>::Scalar;
  using Sparse = Eigen::SparseMatrix<Scalar, Eigen::RowMajor>;
  static_assert(std::is_same_v<Scalar, typename std::remove_cvref_t<D>::Scalar>,
                "filigree: encode(X, dictionary, method): X and the dictionary must have the same scalar");

  Encoding(Operand<X> samples, Operand<D> dictionary, const Method& method)
      : samples_(std::forward<Operand<X>>(samples)),
        dictionary_(std::forward<Operand<D>>(dictionary)),
        method_(method) {
    check_shapes();
  }

  [[nodiscard]] Index rows() const { return samples_.rows(); }
  [[nodiscard]] Index cols() const { return dictionary_.rows(); }
  static constexpr const char* name() { return "encode(X, dictionary, method)"; }

  // Every evaluation calls it before it writes anything.
  void check() const {
    check_shapes();
    if (!has_known_) detail::require_finite_rows(detail::Viewed<X>(samples_).view(), name(), "X");
    detail::require_finite_rows(detail::Viewed<D>(dictionary_).view(), name(), "the dictionary");
  }

  void check_shapes() const {
    detail::check_method(method_);
    detail::require(samples_.cols() == dictionary_.cols(),
                    "encode(X, dictionary, method): X.cols() = ", samples_.cols(),
                    " must equal dictionary.cols() = ", dictionary_.cols());
    detail::require(start_.size() == 0 || (start_.rows() == rows() && start_.cols() == cols()),
                    "encode(X, dictionary, method).start(codes): codes must be ", rows(), "x", cols(), ", is ",
                    start_.rows(), "x", start_.cols());
  }

  /// Returns the same codes, computed by this executor, which must outlive them.
  template <Executor E>
  [[nodiscard]] Encoding on(E& executor) const {
    Encoding copy = *this;
    copy.execution_.executor = ExecutorRef(executor);
    return copy;
  }
  /// Returns the same codes, computed in this memory, which must outlive them.
  [[nodiscard]] Encoding with(Workspace& workspace) const {
    Encoding copy = *this;
    copy.execution_.workspace = &workspace;
    return copy;
  }
  /// Returns the codes of an iterative method (fista, coordinate_descent) that starts from other codes, such as those
  /// of a similar dictionary, dense or sparse.
  ///
  /// Throws  Error if the codes have another shape or are not finite
  template <class C>
  [[nodiscard]] Encoding start(const C& codes) const {
    static_assert(
        detail::LassoMethod<Method>,
        "filigree: encode(X, dictionary, method).start(codes): only fista and coordinate_descent have a start");
    Encoding copy = *this;
    if constexpr (detail::SparseExpression<C>)
      copy.start_ = codes;
    else
      copy.start_ = codes.sparseView();
    copy.start_.makeCompressed();
    copy.check_shapes();
    for (Index i = 0; i < copy.start_.nonZeros(); ++i)
      detail::require(std::isfinite(copy.start_.valuePtr()[i]),
                      "encode(X, dictionary, method).start(codes): codes must be finite");
    return copy;
  }

  /// Returns the codes that approximate the known numbers of samples, by omp. Unknown numbers are not read. They can be
  /// filled in from the codes: codes · D.
  ///
  /// Formula  argmin over the codes of the chosen atoms of ‖m · (x − c D)‖, where m is 1 for known numbers, else 0
  /// Shapes   mask: N x d, 0 for unknown numbers, of any type
  /// Cost     O(s (k d + s d)) for each sample with s chosen atoms
  /// Throws   Error if the mask has another shape; in the evaluation, if a known number is not finite
  template <class M>
  [[nodiscard]] Encoding known(const M& mask) const {
    static_assert(std::is_same_v<Method, omp>,
                  "filigree: encode(X, dictionary, method).known(mask): only omp codes samples with unknown numbers");
    detail::require(mask.rows() == rows() && mask.cols() == samples_.cols(),
                    "encode(X, dictionary, method).known(mask): the mask must be ", rows(), "x", samples_.cols(),
                    ", is ", mask.rows(), "x", mask.cols());
    Encoding copy = *this;
    copy.known_ = (mask.array() != typename M::Scalar(0)).template cast<Scalar>().matrix();
    copy.has_known_ = true;
    return copy;
  }

  template <int O, class Integer>
  operator Eigen::SparseMatrix<Scalar, O, Integer>() const {
    return to_sparse<Eigen::SparseMatrix<Scalar, O, Integer>>();
  }

  [[nodiscard]] bool reads(const AddressRange& target) const {
    return detail::reads_memory(samples_, target) || detail::reads_memory(dictionary_, target);
  }
  void evaluate_to(const detail::Target<Scalar>& to) const {
    const Sparse codes = to_sparse<Sparse>();
    if (to.op == detail::Assign::set)
      for (Index i = 0; i < to.rows; ++i)
        for (Index j = 0; j < to.cols; ++j) to.store(i, j, Scalar(0));
    for (Index i = 0; i < codes.outerSize(); ++i)
      for (typename Sparse::InnerIterator it(codes, i); it; ++it) to.store(i, it.col(), it.value());
  }
  template <class Result>
  Result to_sparse() const {
    check();
    const detail::Session session(execution_);
    const detail::Viewed<X> samples(samples_);
    const detail::Viewed<D> dictionary(dictionary_);
    if constexpr (std::is_same_v<Method, omp>) {
      if (has_known_) {
        const auto view = samples.view();
        Known x = Known::Zero(rows(), samples_.cols());
        for (Index i = 0; i < x.rows(); ++i)
          for (Index j = 0; j < x.cols(); ++j)
            if (known_(i, j) != 0) x(i, j) = view.data[i * view.row_stride + j * view.col_stride];
        detail::require_finite_rows(detail::view(x), name(), "X, at known numbers,");
        return detail::KnownEncoder<Scalar>(detail::view(x), detail::view(known_), dictionary.view(), method_, session)
            .run();
      }
    }
    return detail::encode_rows<Scalar>(samples.view(), dictionary.view(), method_, start_, session);
  }

 private:
  using Known = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

  Operand<X> samples_;
  Operand<D> dictionary_;
  Method method_;
  Sparse start_;
  Known known_;  // 1 for known numbers, else 0
  bool has_known_ = false;
  detail::Execution execution_;
};

namespace detail {

template <class T>
inline constexpr bool is_encoding = false;
template <class X, class D, class M>
inline constexpr bool is_encoding<Encoding<X, D, M>> = true;
template <class T>
concept EncodingExpression = is_encoding<std::remove_cvref_t<T>>;

}  // namespace detail

/// Codes samples by few atoms of a dictionary: encode(X, dictionary, omp{.k = 8}). Methods are fista,
/// coordinate_descent, omp, matching_pursuit and soft_threshold(alpha), which is one step: X D' |
/// soft_threshold(alpha).
///
/// The result is a lazy matrix: `Eigen::SparseMatrix<S, Eigen::RowMajor> codes = encode(X, D, omp{.k = 8}).on(pool)`,
/// or `Matrix largest = encode(X, D, fista{.alpha = 0.1}) | top_k(5)`. An iterative method can start from other codes:
/// encode(...).start(codes). omp can code samples of which only some numbers are known: encode(...).known(mask).
/// Formula    X ≈ codes · D
/// Shapes     X: N x d, dictionary: k x d, codes: N x k
/// Cost       O(k² d) for the Gram matrix, O(N k d) for X D', and the cost of the method for each sample
/// Edge case  an atom of zeros is not used; omp and matching_pursuit give the same for atoms of any length
/// Throws     Error that names the row if X or the dictionary is not finite; if shapes or options do not fit
/// Reference  scikit-learn, sparse_encode, for the objective
template <DenseExpression X, DenseExpression D, detail::CodingMethod Method>
auto encode(X&& samples, D&& dictionary, const Method& method) {
  return Encoding<X, D, Method>(std::forward<X>(samples), std::forward<D>(dictionary), method);
}

/// Computes codes and applies a stage or a pipeline to their rows.
///
/// Cost  O(N k) memory for the dense codes
template <detail::EncodingExpression C, detail::Piped Next>
auto operator|(C&& codes, Next&& next) {
  Eigen::Matrix<typename std::remove_cvref_t<C>::Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> dense = codes;
  return std::move(dense) | std::forward<Next>(next);
}

}  // namespace filigree
