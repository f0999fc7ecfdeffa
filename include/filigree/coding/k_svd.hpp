// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/coding/dictionary_learning.hpp"

namespace filigree {
namespace detail {

/// For each atom in turn, one step of the power method for the atom and its codes, on the residuals of the samples that
/// use it without the atom. Residuals and codes are updated.
template <Real S>
void update_pairs(RowMatrix<S>& atoms, SparseRows<S>& codes, RowMatrix<S>& residuals, List<Index>& unused,
                  const Session& session) {
  constexpr Index task_rows = 256;
  const kernel::Kernels<S>& kernels = kernel::kernels<S>();
  const Index k = atoms.rows(), d = atoms.cols();
  struct Use {
    Index sample, entry;
  };
  List<Index> begin(k + 1, Index(0));
  for (Index e = 0; e < codes.nonZeros(); ++e) ++begin[codes.innerIndexPtr()[e] + 1];
  for (Index j = 0; j < k; ++j) begin[j + 1] += begin[j];
  List<Use> uses(codes.nonZeros(), Use{0, 0});
  List<Index> at = begin;
  for (Index i = 0; i < codes.rows(); ++i)
    for (Index e = codes.outerIndexPtr()[i]; e < codes.outerIndexPtr()[i + 1]; ++e)
      uses[at[codes.innerIndexPtr()[e]]++] = {i, e};
  List<S> next(d, S(0));
  List<double> sum(d, 0.0);
  RowMatrix<S> parts;
  for (Index j = 0; j < k; ++j) {
    const Index count = begin[j + 1] - begin[j], tasks = ceil_div(count, task_rows);
    const Use* used = uses.data() + begin[j];
    S* atom = atoms.row(j).data();
    if (count == 0) {
      unused.push_back(j);
      continue;
    }
    parts.setZero(tasks, d);
    session.run(tasks, [&](Index task, Index) {  // E' g, with E = R + g d_j
      S* part = parts.row(task).data();
      for (Index u = task * task_rows; u < (std::min)((task + 1) * task_rows, count); ++u) {
        S* r = residuals.row(used[u].sample).data();
        const S g = codes.valuePtr()[used[u].entry];
        kernels.subtract_multiple(r, atom, -g, d);
        kernels.subtract_multiple(part, r, -g, d);
      }
    });
    std::fill_n(sum.data(), d, 0.0);
    for (Index task = 0; task < tasks; ++task)
      for (Index f = 0; f < d; ++f) sum[f] += static_cast<double>(parts(task, f));
    for (Index f = 0; f < d; ++f) next[f] = static_cast<S>(sum[f]);
    if (normalize_atom(next.data(), d)) std::copy_n(next.data(), d, atom);
    session.run(tasks, [&](Index task, Index) {  // g = E d_j and R = E − g d_j
      for (Index u = task * task_rows; u < (std::min)((task + 1) * task_rows, count); ++u) {
        S* r = residuals.row(used[u].sample).data();
        S g = 0;
        const kernel::Column zero = 0;
        kernels.dots(&g, r, &zero, 1, atom, d, d);
        codes.valuePtr()[used[u].entry] = g;
        kernels.subtract_multiple(r, atom, g, d);
      }
    });
  }
}

template <Real S>
Dictionary<S> learn_by_pairs(const RowMatrix<S>& samples, const RowMatrix<S>* start, const omp& method,
                             const dictionary_options& options) {
  Dictionary<S> result;
  result.atoms = start_learning("k_svd(X, omp, options)", samples, start, method, options);
  const Session session(Execution{options.executor});
  const MatrixView<S> x = view_of(samples);
  const Progress progress(options.progress);
  const SparseRows<S> none;
  Residuals<S> residuals;
  for (Index pass = 0; pass < options.iterations; ++pass) {
    SparseRows<S> codes = encode_rows<S>(x, view_of(result.atoms), method, none, session);
    residuals.compute(x, codes, result.atoms, 0, session);
    List<Index> unused;
    update_pairs(result.atoms, codes, residuals.rows, unused, session);
    residuals.compute(x, codes, result.atoms, 0, session);
    replace_atoms(result.atoms, unused, x, residuals);
    result.objectives.push_back(residuals.objective);
    progress.show("iteration", pass + 1, options.iterations, residuals.objective);
  }
  return result;
}

}  // namespace detail

/// Learns a dictionary by approximate K-SVD: codes all samples by omp, and then updates each atom together with its
/// codes.
///
/// The first atoms are random samples. An atom that no sample uses is replaced by the sample with the largest residual.
/// Formula    E = X − C D without atom j, for the samples that use it: d_j = E' g / ‖E' g‖, g = E d_j for its codes g
/// Shapes     X: N x d, atoms: k x d
/// Cost       that of encode, and O(d) for each code, in each pass
/// Throws     Error if X has no rows or is not finite, or if options do not fit
/// Reference  Rubinstein et al., Technion CS-2008-08, algorithm 5; Aharon et al., IEEE Trans. Signal Process. 54, 2006
template <DenseExpression X>
Dictionary<typename X::Scalar> k_svd(const X& samples, const omp& method, const dictionary_options& options) {
  return detail::learn_by_pairs<typename X::Scalar>(samples, nullptr, method, options);
}
/// The same from a given first dictionary, whose atoms are scaled to length 1.
template <DenseExpression X, DenseExpression D>
Dictionary<typename X::Scalar> k_svd(const X& samples, const D& start, const omp& method,
                                     const dictionary_options& options) {
  const detail::RowMatrix<typename X::Scalar> first = start;
  return detail::learn_by_pairs<typename X::Scalar>(samples, &first, method, options);
}

}  // namespace filigree
