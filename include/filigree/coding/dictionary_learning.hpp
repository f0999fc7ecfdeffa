// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/coding/dictionary.hpp"
#include "filigree/nn/train/progress.hpp"

namespace filigree {

/// Updates the atoms of a dictionary for given codes, by one pass of block coordinate descent: each atom in turn moves
/// to its best place in the unit ball. Atoms without codes stay.
///
/// Formula    A = C' C, B = C' X, d_j = d_j + (B_j − A_j D) / A_jj, divided by max(1, ‖d_j‖)
/// Shapes     dictionary: k x d, codes: N x k, X: N x d
/// Cost       O(k² d + N s (s + d)) with s codes per sample
/// Throws     Error if the shapes do not fit
/// Reference  Mairal et al., arXiv:0908.0050, algorithm 2
template <Real S, DenseExpression X>
void update_atoms(Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>& dictionary,
                  const Eigen::SparseMatrix<S, Eigen::RowMajor>& codes, const X& samples) {
  detail::require(
      codes.rows() == samples.rows() && codes.cols() == dictionary.rows() && samples.cols() == dictionary.cols(),
      "update_atoms(dictionary, codes, X): codes must be ", samples.rows(), "x", dictionary.rows(),
      " and the dictionary ", dictionary.rows(), "x", samples.cols(), ", are ", codes.rows(), "x", codes.cols(),
      " and ", dictionary.rows(), "x", dictionary.cols());
  const detail::Session session(detail::Execution{});
  const detail::RowMatrix<S> x = samples;
  detail::CodeSums<S> sums(dictionary.rows(), dictionary.cols());
  sums.add(codes, detail::view_of(x), 1, session);
  detail::List<Index> unused;
  sums.update(dictionary, unused);
}

namespace detail {

/// Checks the arguments of a function that learns a dictionary, and returns the first atoms.
template <Real S, class Method>
RowMatrix<S> start_learning(const char* call, const RowMatrix<S>& samples, const RowMatrix<S>* start,
                            const Method& method, const dictionary_options& options) {
  check_method(method);
  check_options(call, options, start != nullptr ? start->rows() : 0, start != nullptr);
  require(samples.rows() >= 1, call, ": X must have at least 1 row");
  require_finite_rows(view_of(samples), call, "X");
  Generator generator(options.seed);
  if (start == nullptr) return first_atoms(samples, options.atoms, generator);
  require(start->cols() == samples.cols(), call, ": the first dictionary has ", start->cols(), " columns, but X has ",
          samples.cols());
  require_finite_rows(view_of(*start), call, "the first dictionary");
  RowMatrix<S> atoms = *start;
  lengthen_atoms<S>(atoms, nullptr);
  return atoms;
}

template <Real S, class Method>
Dictionary<S> learn_by_turns(const RowMatrix<S>& samples, const RowMatrix<S>* start, const Method& method,
                             const dictionary_options& options) {
  Dictionary<S> result;
  result.atoms = start_learning("dictionary_learning(X, method, options)", samples, start, method, options);
  const Session session(Execution{options.executor});
  const MatrixView<S> x = view_of(samples);
  const Progress progress(options.progress);
  const SparseRows<S> none;
  SparseRows<S> codes = encode_rows<S>(x, view_of(result.atoms), method, none, session);
  Residuals<S> residuals;
  for (Index pass = 0; pass < options.iterations; ++pass) {
    CodeSums<S> sums(result.atoms.rows(), result.atoms.cols());
    List<Index> unused;
    sums.add(codes, x, 1, session);
    sums.update(result.atoms, unused);
    lengthen_atoms(result.atoms, &codes);
    if (!unused.empty()) {
      residuals.compute(x, codes, result.atoms, 0, session);
      replace_atoms(result.atoms, unused, x, residuals);
    }
    codes = encode_rows<S>(x, view_of(result.atoms), method, LassoMethod<Method> ? codes : none, session);
    residuals.compute(x, codes, result.atoms, l1_weight(method), session);
    result.objectives.push_back(residuals.objective);
    progress.show("iteration", pass + 1, options.iterations, residuals.objective);
  }
  return result;
}

}  // namespace detail

/// Learns a dictionary: codes all samples, updates the atoms by block coordinate descent, and so on in turns.
///
/// The first atoms are random samples. An atom that no sample uses is replaced by the sample with the largest residual.
/// The objective of fista and coordinate_descent decreases in each pass, up to their tolerance.
/// Formula    min over C, D of ½ ‖X − C D‖² + alpha ‖C‖₁ with ‖d_j‖ = 1
/// Shapes     X: N x d, atoms: k x d
/// Cost       that of encode and update_atoms in each pass
/// Throws     Error if X has no rows or is not finite, or if options do not fit
/// Reference  Mairal et al., arXiv:0908.0050, algorithm 2 for the atoms; scikit-learn, DictionaryLearning
template <DenseExpression X, detail::CodingMethod Method>
Dictionary<typename X::Scalar> dictionary_learning(const X& samples, const Method& method,
                                                   const dictionary_options& options) {
  return detail::learn_by_turns<typename X::Scalar, Method>(samples, nullptr, method, options);
}
/// The same from a given first dictionary, whose atoms are scaled to length 1.
template <DenseExpression X, DenseExpression D, detail::CodingMethod Method>
Dictionary<typename X::Scalar> dictionary_learning(const X& samples, const D& start, const Method& method,
                                                   const dictionary_options& options) {
  const detail::RowMatrix<typename X::Scalar> first = start;
  return detail::learn_by_turns<typename X::Scalar, Method>(samples, &first, method, options);
}

}  // namespace filigree
