// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <algorithm>
#include <cmath>
#include <limits>

#include "filigree/coding/gram.hpp"
#include "filigree/coding/lasso.hpp"
#include "filigree/coding/methods.hpp"
#include "filigree/coding/proximal.hpp"
#include "filigree/coding/pursuit.hpp"
#include "filigree/core/operand.hpp"

namespace filigree::detail {

/// The view of a dense expression. An expression that is not in memory is evaluated.
template <class X>
class Viewed {
  using Xpr = std::remove_cvref_t<X>;
  using Plain = Eigen::Matrix<typename Xpr::Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Held = std::conditional_t<DirectAccess<Xpr>, const Xpr&, Plain>;

 public:
  explicit Viewed(const Xpr& x) : x_(x) {}
  [[nodiscard]] MatrixView<typename Xpr::Scalar> view() const {
    return {x_.data(), x_.rows(), x_.cols(), x_.rowStride(), x_.colStride()};
  }

 private:
  Held x_;
};

/// Throws an Error that names the first row with a number that is not finite.
template <Real S>
void require_finite_rows(const MatrixView<S>& x, const char* call, const char* name) {
  for (Index i = 0; i < x.rows; ++i) {
    S sum = 0;  // 0 times a number that is not finite is NaN
    const S* row = x.data + i * x.row_stride;
    for (Index j = 0; j < x.cols; ++j) sum += S(0) * row[j * x.col_stride];
    require(sum == 0, call, ": row ", i, " of ", name, " must be finite");
  }
}

/// The codes of consecutive samples, which one task computes.
template <Real S>
struct CodeBlock {
  Buffer columns, values;
  Index count = 0;

  void append(const CodeRow<S>& row) {
    std::copy_n(row.columns, row.count, columns.grow<kernel::Column>(count + row.count, count) + count);
    std::copy_n(row.values, row.count, values.grow<S>(count + row.count, count) + count);
    count += row.count;
  }
};

/// The number of consecutive samples that one task codes.
inline constexpr Index code_task_rows = 32;

/// Returns the codes of blocks of samples as a matrix. `counts` are the numbers of codes of the samples.
template <Real S>
Eigen::SparseMatrix<S, Eigen::RowMajor> assemble_codes(const List<CodeBlock<S>>& blocks, const List<Index>& counts,
                                                       Index atoms, const Session& session) {
  const Index n = counts.size();
  Index total = 0;
  for (const CodeBlock<S>& block : blocks) total += block.count;
  require(total <= (std::numeric_limits<int>::max)(), "encode(X, dictionary, method): there are ", total,
          " codes; a sparse matrix holds at most 2147483647. Encode X in parts");
  Eigen::SparseMatrix<S, Eigen::RowMajor> result(n, atoms);
  result.resizeNonZeros(total);
  List<Index> begin(blocks.size() + 1, Index(0));
  for (Index b = 0; b < blocks.size(); ++b) begin[b + 1] = begin[b] + blocks[b].count;
  session.run(blocks.size(), [&](Index b, Index) {
    std::copy_n(blocks[b].columns.template data<kernel::Column>(), blocks[b].count, result.innerIndexPtr() + begin[b]);
    std::copy_n(blocks[b].values.template data<S>(), blocks[b].count, result.valuePtr() + begin[b]);
    Index at = begin[b];
    for (Index i = b * code_task_rows; i < (std::min)((b + 1) * code_task_rows, n); ++i)
      result.outerIndexPtr()[i + 1] = static_cast<int>(at += counts[i]);
  });
  return result;
}

/// Computes codes for encode. The samples are processed in chunks, whose correlations are one product of matrices.
template <Real S, class Method>
class Encoder {
 public:
  using Sparse = Eigen::SparseMatrix<S, Eigen::RowMajor>;

  Encoder(const MatrixView<S>& samples, const MatrixView<S>& dictionary, const Method& method, const Sparse& start,
          const Session& session)
      : samples_(samples),
        method_(method),
        start_(start),
        session_(session),
        gram_(dictionary, PursuitMethod<Method>, !std::is_same_v<Method, SoftThreshold>, session) {
    if constexpr (std::is_same_v<Method, fista>) eigenvalue_ = largest_eigenvalue_bound(gram_, session);
  }

  [[nodiscard]] Sparse run() {
    constexpr Index chunk_bytes = Index(1) << 21;
    const Index n = samples_.rows, stride = gram_.stride();
    const Index fitting = chunk_bytes / (stride * static_cast<Index>(sizeof(S)));
    const Index chunk =
        round_up((std::max)((std::max)(fitting, Index{1}), task_rows * 2 * session_.concurrency()), task_rows);
    blocks_ = List<CodeBlock<S>>();
    for (Index t = 0; t < ceil_div(n, task_rows); ++t) blocks_.push_back({});
    counts_ = List<Index>(n, Index(0));
    correlations_.get<S>((std::min)(chunk, n) * stride);
    std::fill_n(correlations_.data<S>(), (std::min)(chunk, n) * stride, S(0));
    for (Index first = 0; first < n; first += chunk) run_chunk(first, (std::min)(first + chunk, n));
    return assemble_codes<S>(blocks_, counts_, gram_.count(), session_);
  }

 private:
  static constexpr Index task_rows = code_task_rows;

  void run_chunk(Index first, Index last) {
    const Index stride = gram_.stride(), rows = last - first;
    S* correlations = correlations_.data<S>();
    const MatrixView<S> x = {samples_.data + first * samples_.row_stride, rows, samples_.cols, samples_.row_stride,
                             samples_.col_stride};
    multiply<S>(x, gram_.atoms_view().transposed(), {correlations, stride}, session_);
    const S* codes = nullptr;
    if constexpr (std::is_same_v<Method, fista>) codes = run_together(first, rows);
    session_.run(ceil_div(rows, task_rows), [&](Index task, Index worker) {
      ScratchFrame frame(session_.scratch(worker));
      CodeRow<S> row = {frame.take<kernel::Column>(gram_.count()), frame.take<S>(gram_.count()), 0};
      CodeBlock<S>& block = blocks_[first / task_rows + task];
      for (Index i = task * task_rows; i < (std::min)((task + 1) * task_rows, rows); ++i) {
        if constexpr (std::is_same_v<Method, fista>) {
          row.count = list_nonzeros(codes + i * stride, gram_.count(), row);
        } else {
          ScratchFrame inner(session_.scratch(worker));
          CodedSample<S> sample = {correlations + i * stride, squares_of(first + i), nullptr, nullptr, 0};
          if (start_.size() > 0) {
            const Index begin = start_.outerIndexPtr()[first + i], end = start_.outerIndexPtr()[first + i + 1];
            sample.start_columns = start_.innerIndexPtr() + begin;
            sample.start_values = start_.valuePtr() + begin;
            sample.start_count = end - begin;
          }
          code_sample(method_, gram_, sample, inner, row);
        }
        block.append(row);
        counts_[first + i] = row.count;
      }
    });
  }

  [[nodiscard]] double squares_of(Index i) const {
    const S* row = samples_.data + i * samples_.row_stride;
    double sum = 0;
    for (Index f = 0; f < samples_.cols; ++f) {
      const auto x = static_cast<double>(row[f * samples_.col_stride]);
      sum += x * x;
    }
    return sum;
  }

  /// Computes the codes of a chunk as a dense matrix.
  const S* run_together(Index first, Index rows) requires(std::is_same_v<Method, fista>) {
    const Index stride = gram_.stride();
    S* codes = codes_.get<S>(rows * stride);
    std::fill_n(codes, rows * stride, S(0));
    List<double> squares(rows, 0.0);
    for (Index i = 0; i < rows; ++i) {
      squares[i] = squares_of(first + i);
      if (start_.size() > 0)
        for (typename Sparse::InnerIterator it(start_, first + i); it; ++it)
          codes[i * stride + it.col()] = method_.non_negative ? (std::max)(it.value(), S(0)) : it.value();
    }
    ProximalSteps<S>(method_, gram_, eigenvalue_, session_).run(rows, correlations_.data<S>(), squares.data(), codes);
    return codes;
  }

  MatrixView<S> samples_;
  const Method& method_;
  const Sparse& start_;
  const Session& session_;
  Gram<S> gram_;
  double eigenvalue_ = 0;
  Buffer correlations_, codes_;
  List<CodeBlock<S>> blocks_;
  List<Index> counts_;
};

/// Returns the codes of samples. The method, the shapes and the numbers have been checked.
template <Real S, class Method>
Eigen::SparseMatrix<S, Eigen::RowMajor> encode_rows(const MatrixView<S>& samples, const MatrixView<S>& dictionary,
                                                    const Method& method,
                                                    const Eigen::SparseMatrix<S, Eigen::RowMajor>& start,
                                                    const Session& session) {
  require(dictionary.rows <= (std::numeric_limits<kernel::Column>::max)(),
          "encode(X, dictionary, method): there are too many atoms");
  return Encoder<S, Method>(samples, dictionary, method, start, session).run();
}

}  // namespace filigree::detail
