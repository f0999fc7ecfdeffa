// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <algorithm>
#include <cmath>
#include <limits>

#include "filigree/coding/encode_rows.hpp"

// Codes of samples of which only some numbers are known.

namespace filigree::detail {

/// Codes samples by orthogonal matching pursuit on their known numbers. Each sample has its own restriction of the
/// atoms, so correlations are computed from residuals, not from a Gram matrix of all atoms.
template <Real S>
class KnownEncoder {
 public:
  using Sparse = Eigen::SparseMatrix<S, Eigen::RowMajor>;

  // `known` is 1 for each number of X that is known, else 0. Unknown numbers of X must be 0.
  KnownEncoder(const MatrixView<S>& samples, const MatrixView<S>& known, const MatrixView<S>& dictionary,
               const omp& method, const Session& session)
      : samples_(samples), known_(known), method_(method), session_(session), gram_(dictionary, true, false, session) {}

  [[nodiscard]] Sparse run() {
    const Index n = samples_.rows, k = gram_.count(), d = gram_.width(), stride = gram_.stride();
    blocks_ = List<CodeBlock<S>>();
    for (Index t = 0; t < ceil_div(n, code_task_rows); ++t) blocks_.push_back({});
    counts_ = List<Index>(n, Index(0));
    S* const squares = squares_.template get<S>((std::max)(k * d, Index{1}));  // of the entries of the atoms
    for (Index e = 0; e < k * d; ++e) squares[e] = gram_.atoms_view().data[e] * gram_.atoms_view().data[e];
    all_ = List<kernel::Column>(k, kernel::Column(0));
    for (Index j = 0; j < k; ++j) all_[j] = static_cast<kernel::Column>(j);
    constexpr Index chunk_bytes = Index(1) << 21;
    const Index chunk = round_up(
        (std::max)(chunk_bytes / (stride * static_cast<Index>(sizeof(S))), code_task_rows * 2 * session_.concurrency()),
        code_task_rows);
    S* const norms = norms_.template get<S>((std::max)((std::min)(chunk, n) * stride, Index{1}));
    for (Index first = 0; first < n; first += chunk) {
      const Index rows = (std::min)(chunk, n - first);
      const MatrixView<S> known = {known_.data + first * known_.row_stride, rows, d, known_.row_stride, 1};
      multiply<S>(known, MatrixView<S>{squares, k, d, d, 1}.transposed(), {norms, stride}, session_);
      session_.run(ceil_div(rows, code_task_rows), [&](Index task, Index worker) {
        ScratchFrame frame(session_.scratch(worker));
        CodeRow<S> row = {frame.take<kernel::Column>(k), frame.take<S>(k), 0};
        CodeBlock<S>& block = blocks_[first / code_task_rows + task];
        for (Index i = task * code_task_rows; i < (std::min)((task + 1) * code_task_rows, rows); ++i) {
          ScratchFrame inner(session_.scratch(worker));
          code(first + i, norms + i * stride, inner, row);
          block.append(row);
          counts_[first + i] = row.count;
        }
      });
    }
    return assemble_codes<S>(blocks_, counts_, k, session_);
  }

 private:
  /// Codes sample i. `norms` are the squared lengths of its restricted atoms, and become their inverse lengths.
  void code(Index i, S* norms, ScratchFrame& frame, CodeRow<S>& out) const {
    const kernel::Kernels<S>& kernels = kernel::kernels<S>();
    const Index count = gram_.count(), d = gram_.width();
    const S* const atoms = gram_.atoms_view().data;
    const S *const x = samples_.data + i * samples_.row_stride, *const known = known_.data + i * known_.row_stride;
    Index numbers = 0;
    for (Index f = 0; f < d; ++f) numbers += known[f] != 0 ? 1 : 0;
    Index limit = (std::min)(count, numbers);
    if (method_.k > 0) limit = (std::min)(limit, method_.k);
    out.count = 0;
    if (limit == 0) return;
    S *const h = frame.take<S>(count), *const r = frame.take<S>(d), *const restricted = frame.take<S>(limit * d);
    double* const factor = frame.take<double>(limit * (limit + 1) / 2);  // rows of the Cholesky factor, packed
    double *const z = frame.take<double>(limit), *const codes = frame.take<double>(limit);
    constexpr double epsilon = static_cast<double>(std::numeric_limits<S>::epsilon());
    for (Index j = 0; j < count; ++j)  // an atom that is 0 at the known numbers is not used
      norms[j] = static_cast<double>(norms[j]) > 64 * epsilon ? 1 / std::sqrt(norms[j]) : S(0);
    std::copy_n(x, d, r);
    double squares = kernels.sum_squares(x, d);
    const S rounding = rounding_of_correlations<S>(d, squares);
    const double enough = method_.tolerance * method_.tolerance;
    while (out.count < limit && squares > enough) {
      kernels.dots(h, r, all_.data(), count, atoms, d, d);
      Index best = -1;
      S largest = rounding;
      for (Index j = 0; j < count; ++j)
        if (const S size = std::abs(h[j]) * norms[j]; size > largest) {
          largest = size;
          best = j;
        }
      if (best < 0) break;
      const Index s = out.count;
      S* const atom = restricted + s * d;  // of length 1
      for (Index f = 0; f < d; ++f) atom[f] = atoms[best * d + f] * norms[best] * (known[f] != 0 ? S(1) : S(0));
      double* const row = factor + s * (s + 1) / 2;
      double pivot = kernels.sum_squares(atom, d), projection = kernels.sum_products(atom, x, d).products;
      for (Index a = 0; a < s; ++a) {
        const double* const other = factor + a * (a + 1) / 2;
        double sum = kernels.sum_products(restricted + a * d, atom, d).products;
        for (Index b = 0; b < a; ++b) sum -= row[b] * other[b];
        row[a] = sum / other[a];
        pivot -= row[a] * row[a];
        projection -= row[a] * z[a];
      }
      if (!(pivot > 64 * epsilon)) break;  // in the span of the chosen atoms
      row[s] = std::sqrt(pivot);
      z[s] = projection / row[s];
      out.columns[s] = static_cast<kernel::Column>(best);
      out.count = s + 1;
      for (Index a = s; a >= 0; --a) {
        double sum = z[a];
        for (Index b = a + 1; b <= s; ++b) sum -= factor[b * (b + 1) / 2 + a] * codes[b];
        codes[a] = sum / factor[a * (a + 1) / 2 + a];
      }
      std::copy_n(x, d, r);
      for (Index a = 0; a <= s; ++a) kernels.subtract_multiple(r, restricted + a * d, static_cast<S>(codes[a]), d);
      squares = kernels.sum_squares(r, d);
    }
    for (Index a = 0; a < out.count; ++a)
      out.values[a] = static_cast<S>(codes[a]) * norms[static_cast<Index>(out.columns[a])];
    finish_row(gram_, out);
  }

  MatrixView<S> samples_, known_;
  const omp& method_;
  const Session& session_;
  Gram<S> gram_;  // without products
  Buffer squares_, norms_;
  List<kernel::Column> all_;
  List<CodeBlock<S>> blocks_;
  List<Index> counts_;
};

}  // namespace filigree::detail
