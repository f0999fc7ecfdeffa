// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "filigree/coding/dictionary_learning.hpp"

namespace filigree {

/// A dictionary that learns from a stream of batches of samples.
///
/// Each step codes a batch, adds it to sums over all batches, and updates the atoms by the sums. The sums forget:
/// before step t they are multiplied by β. An atom that the sums do not use is replaced by the sample of the batch with
/// the largest residual.
/// Formula    θ = t η for t < η, else η² + t − η, with η samples in the batch; β = (θ + 1 − η) / (θ + 1);
///            A = β A + C' C, B = β B + C' X; atoms by update_atoms
/// Cost       that of encode for the batch, and O(k² d)
/// Reference  Mairal et al., arXiv:0908.0050, algorithms 1 and 2, section 3.4
template <Real S, detail::CodingMethod Method>
class OnlineDictionary {
 public:
  using Matrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

  /// Starts from a dictionary, whose atoms are scaled to length 1.
  ///
  /// Throws  Error if the dictionary is not finite, or the options of the method do not fit
  OnlineDictionary(Matrix start, const Method& method, const ExecutorRef& executor = {})
      : atoms_(std::move(start)), method_(method), executor_(executor), sums_(atoms_.rows(), atoms_.cols()) {
    detail::check_method(method);
    detail::require_finite_rows(detail::view_of(atoms_), "OnlineDictionary(start, method)", "the first dictionary");
    detail::lengthen_atoms<S>(atoms_, nullptr);
  }

  /// Learns from a batch, and returns the mean objective of its samples with the dictionary before the step.
  ///
  /// Shapes  batch: n x d
  /// Throws  Error if the batch has another width, no rows, or numbers that are not finite; the dictionary does not
  /// change
  template <DenseExpression X>
  double step(const X& batch) {
    const Matrix x = batch;
    detail::require(x.cols() == atoms_.cols(), "OnlineDictionary::step(batch): batch has ", x.cols(),
                    " columns, but the dictionary has ", atoms_.cols());
    detail::require(x.rows() >= 1, "OnlineDictionary::step(batch): the batch must have at least 1 row");
    detail::require_finite_rows(detail::view_of(x), "OnlineDictionary::step(batch)", "the batch");
    return learn(detail::view_of(x));
  }

  /// Returns the atoms, which have length 1.
  [[nodiscard]] const Matrix& atoms() const { return atoms_; }
  /// Returns the number of steps.
  [[nodiscard]] Index steps() const { return steps_; }

 private:
  double learn(const detail::MatrixView<S>& x) {
    const detail::Session session(detail::Execution{executor_, &workspace_});
    const detail::SparseRows<S> codes =
        detail::encode_rows<S>(x, detail::view_of(atoms_), method_, detail::SparseRows<S>(), session);
    residuals_.compute(x, codes, atoms_, detail::l1_weight(method_), session);
    const auto t = static_cast<double>(++steps_), size = static_cast<double>(x.rows);
    const double theta = t < size ? t * size : size * size + t - size;
    sums_.add(codes, x, (theta + 1 - size) / (theta + 1), session);
    detail::List<Index> unused;
    sums_.update(atoms_, unused);
    detail::lengthen_atoms<S>(atoms_, nullptr);
    detail::replace_atoms(atoms_, unused, x, residuals_);
    for (const Index j : unused) sums_.clear(j);
    return residuals_.objective;
  }

  Matrix atoms_;
  Method method_;
  ExecutorRef executor_;
  detail::CodeSums<S> sums_;
  detail::Residuals<S> residuals_;
  Workspace workspace_;
  Index steps_ = 0;
};

namespace detail {

template <Real S, class Method>
Dictionary<S> learn_online(const RowMatrix<S>& samples, const RowMatrix<S>* start, const Method& method,
                           const dictionary_options& options) {
  Dictionary<S> result;
  OnlineDictionary<S, Method> online(
      start_learning("online_dictionary_learning(X, method, options)", samples, start, method, options), method,
      options.executor);
  const Progress progress(options.progress);
  Generator generator(options.seed, 1);
  List<Index> order(samples.rows(), Index(0));
  for (Index i = 0; i < order.size(); ++i) order[i] = i;
  RowMatrix<S> batch;
  for (Index pass = 0; pass < options.iterations; ++pass) {
    generator.shuffle(order);
    double sum = 0;
    for (Index first = 0; first < order.size(); first += options.batch) {
      const Index count = (std::min)(options.batch, order.size() - first);
      batch.resize(count, samples.cols());
      for (Index i = 0; i < count; ++i) batch.row(i) = samples.row(order[first + i]);
      sum += online.step(batch) * static_cast<double>(count);
    }
    result.objectives.push_back(sum / static_cast<double>(samples.rows()));
    progress.show("pass", pass + 1, options.iterations, result.objectives.back());
  }
  result.atoms = online.atoms();
  return result;
}

}  // namespace detail

/// Learns a dictionary by steps on batches of samples in random order: passes of OnlineDictionary::step over the
/// samples.
///
/// The first atoms are random samples. An objective of a pass is the mean over its samples, each with the dictionary at
/// its batch.
/// Shapes     X: N x d, atoms: k x d
/// Cost       that of encode for all samples, and O(k² d) for each batch, in each pass
/// Throws     Error if X has no rows or is not finite, or if options do not fit
/// Reference  Mairal et al., arXiv:0908.0050; scikit-learn, MiniBatchDictionaryLearning
template <DenseExpression X, detail::CodingMethod Method>
Dictionary<typename X::Scalar> online_dictionary_learning(const X& samples, const Method& method,
                                                          const dictionary_options& options) {
  return detail::learn_online<typename X::Scalar, Method>(samples, nullptr, method, options);
}
/// The same from a given first dictionary, whose atoms are scaled to length 1.
template <DenseExpression X, DenseExpression D, detail::CodingMethod Method>
Dictionary<typename X::Scalar> online_dictionary_learning(const X& samples, const D& start, const Method& method,
                                                          const dictionary_options& options) {
  const detail::RowMatrix<typename X::Scalar> first = start;
  return detail::learn_online<typename X::Scalar, Method>(samples, &first, method, options);
}

}  // namespace filigree
