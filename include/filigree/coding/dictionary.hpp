// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "filigree/coding/encode_rows.hpp"
#include "filigree/core/generator.hpp"

namespace filigree {

/// Options of dictionary_learning, online_dictionary_learning and k_svd.
struct dictionary_options {
  Index atoms = 0;            ///< number of atoms; 0: as many as the first dictionary has
  Index iterations = 20;      ///< passes over the samples
  Index batch = 256;          ///< samples of a step of online_dictionary_learning
  std::uint64_t seed = 0;     ///< seeds the first atoms and the order of samples
  bool progress = true;       ///< shows a progress line if standard error is a terminal
  ExecutorRef executor = {};  ///< threads that compute; results do not depend on it
};

/// A learned dictionary.
template <Real S>
struct Dictionary {
  Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> atoms;  ///< k x d, rows of length 1
  std::vector<double> objectives;  ///< after each pass: mean of ½ ‖x − c D‖² + alpha ‖c‖₁ over the samples
};

namespace detail {

template <Real S>
using RowMatrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <Real S>
using SparseRows = Eigen::SparseMatrix<S, Eigen::RowMajor>;

inline void check_options(const char* call, const dictionary_options& o, Index start_atoms, bool has_start) {
  if (has_start)
    require(o.atoms == 0 || o.atoms == start_atoms, call, ": {.atoms = ", o.atoms, "} must equal the ", start_atoms,
            " atoms of the first dictionary");
  else
    require(o.atoms >= 1, call, ": {.atoms}: atoms must be at least 1, got ", o.atoms);
  require(o.iterations >= 0, call, ": {.iterations}: iterations must be at least 0, got ", o.iterations);
  require(o.batch >= 1, call, ": {.batch}: batch must be at least 1, got ", o.batch);
}

template <Real S>
MatrixView<S> view_of(const RowMatrix<S>& x) {
  return {x.data(), x.rows(), x.cols(), x.cols(), 1};
}

/// Scales an atom to length 1. Returns false if it is 0.
template <Real S>
bool normalize_atom(S* atom, Index width) {
  double squares = 0;
  for (Index f = 0; f < width; ++f) squares += static_cast<double>(atom[f]) * static_cast<double>(atom[f]);
  if (!(squares > 0)) return false;
  const S inverse = static_cast<S>(1 / std::sqrt(squares));
  for (Index f = 0; f < width; ++f) atom[f] *= inverse;
  return true;
}

/// Returns random samples as atoms. Where there are too few samples, or a sample is 0, an atom is normally distributed.
template <Real S>
RowMatrix<S> first_atoms(const RowMatrix<S>& samples, Index count, Generator& generator) {
  RowMatrix<S> atoms(count, samples.cols());
  std::vector<Index> drawn(static_cast<std::size_t>((std::min)(count, samples.rows())));
  generator.sample_without_replacement(samples.rows(), drawn);
  for (Index j = 0; j < count; ++j) {
    const bool has_sample = j < static_cast<Index>(drawn.size());
    if (has_sample) atoms.row(j) = samples.row(drawn[static_cast<std::size_t>(j)]);
    if (has_sample && normalize_atom(atoms.row(j).data(), atoms.cols())) continue;
    fill_normal(atoms.row(j), generator);
    normalize_atom(atoms.row(j).data(), atoms.cols());
  }
  return atoms;
}

/// The residuals of samples, and what follows from them.
template <Real S>
struct Residuals {
  RowMatrix<S> rows;     // x − c D
  List<double> squares;  // of each row
  double objective = 0;  // mean of ½ ‖x − c D‖² + alpha ‖c‖₁

  void compute(const MatrixView<S>& samples, const SparseRows<S>& codes, const RowMatrix<S>& atoms, double alpha,
               const Session& session) {
    constexpr Index task_rows = 64;
    const Index n = samples.rows, d = samples.cols;
    rows.resize(n, d);
    squares = List<double>(n, 0.0);
    List<double> norms(n, 0.0);
    session.run(ceil_div(n, task_rows), [&](Index task, Index) {
      for (Index i = task * task_rows; i < (std::min)((task + 1) * task_rows, n); ++i) {
        S* r = rows.data() + i * d;
        for (Index f = 0; f < d; ++f) r[f] = samples.data[i * samples.row_stride + f * samples.col_stride];
        for (typename SparseRows<S>::InnerIterator it(codes, i); it; ++it) {
          kernel::kernels<S>().subtract_multiple(r, atoms.data() + it.col() * d, it.value(), d);
          norms[i] += std::abs(static_cast<double>(it.value()));
        }
        squares[i] = kernel::kernels<S>().sum_squares(r, d);
      }
    });
    double sum = 0;
    for (Index i = 0; i < n; ++i) sum += 0.5 * squares[i] + alpha * norms[i];
    objective = n > 0 ? sum / static_cast<double>(n) : 0;
  }
};

/// Replaces unused atoms by the samples with the largest residuals, each by another sample.
template <Real S>
void replace_atoms(RowMatrix<S>& atoms, const List<Index>& unused, const MatrixView<S>& samples,
                   const Residuals<S>& residuals) {
  if (unused.empty()) return;
  List<Index> order(samples.rows, Index(0));
  for (Index i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](Index a, Index b) {
    return residuals.squares[a] != residuals.squares[b] ? residuals.squares[a] > residuals.squares[b] : a < b;
  });
  for (Index u = 0, next = 0; u < unused.size() && next < order.size(); ++next) {
    const S* x = samples.data + order[next] * samples.row_stride;
    if (!(residuals.squares[order[next]] > 0)) return;  // all samples are exact
    S* atom = atoms.data() + unused[u] * atoms.cols();
    for (Index f = 0; f < atoms.cols(); ++f) atom[f] = x[f * samples.col_stride];
    if (normalize_atom(atom, atoms.cols())) ++u;
  }
}

/// The sums A = C' C and B = C' X over samples, from which block coordinate descent updates the atoms.
template <Real S>
class CodeSums {
 public:
  CodeSums(Index atoms, Index width)
      : width_(width),
        stride_(round_up((std::max)(width, Index{1}), Gram<S>::unit)),
        codes_(RowMatrix<S>::Zero(atoms, atoms)),
        samples_(RowMatrix<S>::Zero(atoms, stride_)) {}

  /// Multiplies the sums by `keep` and adds those of samples. Sums of fixed parts of the samples are added in order.
  void add(const SparseRows<S>& codes, const MatrixView<S>& samples, double keep, const Session& session) {
    if (keep != 1) {
      codes_ *= static_cast<S>(keep);
      samples_ *= static_cast<S>(keep);
    }
    const Index n = samples.rows, part_rows = (std::max)(Index{2048}, ceil_div(n, Index{16}));
    const Index parts = ceil_div(n, part_rows);
    if (parts == 0) return;
    while (static_cast<Index>(parts_.size()) < parts - 1) parts_.push_back(CodeSums(codes_.rows(), width_));
    session.run(parts, [&](Index part, Index) {
      CodeSums& to = part == 0 ? *this : parts_[static_cast<std::size_t>(part - 1)];
      if (part > 0) {
        to.codes_.setZero();
        to.samples_.setZero();
      }
      for (Index i = part * part_rows; i < (std::min)((part + 1) * part_rows, n); ++i) to.add_row(codes, samples, i);
    });
    for (Index part = 1; part < parts; ++part) {
      codes_ += parts_[static_cast<std::size_t>(part - 1)].codes_;
      samples_ += parts_[static_cast<std::size_t>(part - 1)].samples_;
    }
  }

  /// Moves each atom in turn to its best place in the unit ball, and appends the atoms that no code uses to `unused`.
  ///
  /// Formula  d_j = d_j + (B_j − A_j D) / A_jj, divided by max(1, ‖d_j‖)
  void update(RowMatrix<S>& atoms, List<Index>& unused) const {
    const Index k = atoms.rows();
    RowMatrix<S> padded = RowMatrix<S>::Zero(k, stride_);
    padded.leftCols(width_) = atoms;
    List<kernel::Column> all(k, kernel::Column(0));
    for (Index j = 0; j < k; ++j) all[j] = static_cast<kernel::Column>(j);
    Buffer memory;
    S* product = memory.get<S>(stride_);
    double mean = 0;
    for (Index j = 0; j < k; ++j) mean += static_cast<double>(codes_(j, j)) / static_cast<double>(k);
    for (Index j = 0; j < k; ++j) {
      const S square = codes_(j, j);
      if (!(static_cast<double>(square) > 1e-9 * mean)) {
        unused.push_back(j);
        continue;
      }
      kernel::kernels<S>().gather(product, codes_.row(j).data(), all.data(), k, padded.data(), stride_, stride_, false);
      S* atom = padded.row(j).data();
      const S* b = samples_.row(j).data();
      double squares = 0;
      for (Index f = 0; f < width_; ++f) {
        atom[f] += (b[f] - product[f]) / square;
        squares += static_cast<double>(atom[f]) * static_cast<double>(atom[f]);
      }
      if (squares > 1) normalize_atom(atom, width_);
    }
    atoms = padded.leftCols(width_);
  }

  /// Forgets the codes of an atom.
  void clear(Index atom) {
    codes_.row(atom).setZero();
    codes_.col(atom).setZero();
    samples_.row(atom).setZero();
  }

 private:
  void add_row(const SparseRows<S>& codes, const MatrixView<S>& samples, Index i) {
    const S* x = samples.data + i * samples.row_stride;
    for (typename SparseRows<S>::InnerIterator a(codes, i); a; ++a) {
      S* row = codes_.row(a.col()).data();
      for (typename SparseRows<S>::InnerIterator b(codes, i); b; ++b) row[b.col()] += a.value() * b.value();
      S* sum = samples_.row(a.col()).data();
      if (samples.col_stride == 1)
        kernel::kernels<S>().subtract_multiple(sum, x, -a.value(), width_);
      else
        for (Index f = 0; f < width_; ++f) sum[f] += a.value() * x[f * samples.col_stride];
    }
  }

  Index width_, stride_;
  RowMatrix<S> codes_, samples_;
  std::vector<CodeSums> parts_;
};

/// Scales atoms shorter than 1 to length 1, and their codes such that the product stays the same. The l1 norm does not
/// increase.
template <Real S>
void lengthen_atoms(RowMatrix<S>& atoms, SparseRows<S>* codes) {
  List<S> lengths(atoms.rows(), S(1));
  for (Index j = 0; j < atoms.rows(); ++j) {
    const S length = static_cast<S>(std::sqrt(kernel::kernels<S>().sum_squares(atoms.row(j).data(), atoms.cols())));
    if (normalize_atom(atoms.row(j).data(), atoms.cols())) lengths[j] = length;
  }
  if (codes == nullptr) return;
  for (Index i = 0; i < codes->nonZeros(); ++i) codes->valuePtr()[i] *= lengths[codes->innerIndexPtr()[i]];
}

}  // namespace detail
}  // namespace filigree
