// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <algorithm>
#include <cstddef>
#include <tuple>
#include <type_traits>

#include "filigree/core/integers.hpp"
#include "filigree/core/list.hpp"
#include "filigree/engine/choose.hpp"
#include "filigree/engine/values.hpp"
#include "filigree/run/row_tape.hpp"
#include "filigree/stage/stage.hpp"

// The gradients of a pipeline on scores, row by row: the general reverse engine. It recomputes the scores of the pairs
// that the leading patterns keep, and backpropagates through the other stages by the row tape. Its cost is that of
// these pairs.

namespace filigree::detail {

/// Where the gradients by Q, K and V are written. If `adds`, those by K and V are added.
template <Real S>
struct GradientTargets {
  kernel::StridedRows<S> q, k, v;
  bool adds = false;
};

/// The gradients by the parameters of the stages of a pipeline, in the order of the stages that have parameters. The
/// gradient of a stage is in `sums`, or in `pairs` if its parameters belong to pairs.
template <Real S>
struct ParameterGradients {
  using Pairs = Eigen::SparseMatrix<S, Eigen::RowMajor>;
  struct Entry {
    List<double> sums{};
    List<Column> columns{};
    List<S> values{};
    List<Index> ends{};  // of rows, in columns and values
  };
  List<Entry> stages{};
};

/// The gradient by the weights of A * V, for a gradient by the product: <dO_i, v_c>; and that by the logsumexp.
template <Real S>
struct ProductGradient {
  static constexpr bool has_values = true;
  kernel::StridedRows<const S> d_out;  // row i of the pipeline is row i - first
  Index first;
  ValueRows<S> v;
  const S* d_lse = nullptr;                         // of each row, or null
  kernel::StridedRows<const S> out = {nullptr, 0};  // the product, if it is known

  [[nodiscard]] Index dv() const { return v.dv; }
  [[nodiscard]] S lse_gradient(Index i) const { return d_lse != nullptr ? d_lse[i - first] : S(0); }

  void operator()(const Row<S>& row, S* d) const {
    kernel::kernels<S>().dots(d, d_out.data + (row.index - first) * d_out.stride, row.columns, row.count, v.data,
                              v.stride, v.dv);
  }
};

/// A gradient by the weights themselves, as a sparse matrix: absent entries are 0.
template <Real S>
struct SparseWeightGradient {
  static constexpr bool has_values = false;
  const Eigen::SparseMatrix<S, Eigen::RowMajor, Index>& d;
  Index first;

  [[nodiscard]] Index dv() const { return 0; }
  [[nodiscard]] S lse_gradient(Index) const { return 0; }

  void operator()(const Row<S>& row, S* to) const {
    const Index i = row.index - first;
    Index e = d.outerIndexPtr()[i];
    const Index end = d.outerIndexPtr()[i + 1];
    for (Index at = 0; at < row.count; ++at) {
      while (e < end && d.innerIndexPtr()[e] < row.columns[at]) ++e;
      to[at] = e < end && d.innerIndexPtr()[e] == row.columns[at] ? d.valuePtr()[e] : S(0);
    }
  }
};

/// The entries of a row.
template <Real S>
struct EntriesOfRow {
  List<Column> columns{};
  List<S> values{};

  void clear() {
    columns.clear();
    values.clear();
  }
};

/// Adds sum over rows i of value(i, c) * x.row(i) to row c of the sums, for the columns [begin, end) of the lists of a
/// block of rows. The order of the sum is that of the rows.
template <Real S>
void add_transposed(const EntriesOfRow<S>* rows, Index count, Range columns, const S* x, Index padded, double* sums,
                    ScratchFrame& frame) {
  const Index width = columns.end - columns.begin;
  Index* next = frame.take<Index>(width + 1);
  std::fill_n(next, width + 1, Index{0});
  const auto each = [&](const auto& f) {
    for (Index i = 0; i < count; ++i) {
      const List<Column>& list = rows[i].columns;
      const Column* at = std::lower_bound(list.begin(), list.end(), static_cast<Column>(columns.begin));
      for (; at != list.end() && *at < columns.end; ++at) f(i, *at - columns.begin, rows[i].values[at - list.begin()]);
    }
  };
  each([&](Index, Index c, S) { ++next[c + 1]; });
  for (Index c = 0; c < width; ++c) next[c + 1] += next[c];
  Column* row = frame.take<Column>(next[width]);
  S* value = frame.take<S>(next[width]);
  S* sum = frame.take<S>(padded);
  each([&](Index i, Index c, S v) {
    row[next[c]] = static_cast<Column>(i);
    value[next[c]++] = v;
  });
  for (Index c = 0, begin = 0; c < width; begin = next[c++]) {
    if (next[c] == begin) continue;
    kernel::kernels<S>().gather(sum, value + begin, row + begin, next[c] - begin, x, padded, padded);
    double* to = sums + (columns.begin + c) * padded;
    for (Index f = 0; f < padded; ++f) to[f] += static_cast<double>(sum[f]);
  }
}

/// The memory of RowGradients, which a workspace keeps.
template <Real S>
struct RowGradientsMemory {
  StableList<RowTape<S>> tapes;           // of each worker
  List<EntriesOfRow<S>> scores, weights;  // of each row of the block: scale * dL/ds, and the weights
  List<EntriesOfRow<S>> pairs;            // [stages with a parameter for each pair][rows of the block]
  List<double> group_sums;
  Buffer keys, key_sums, value_sums, block_queries, block_outs;
};

/// Computes the gradients of rows | stages for rows [first, first + count).
///
/// `engine` computes the rows before the stages: scores after patterns. Sums over rows are in the order of the rows, in
/// blocks whose size depends on the number of entries and not on the threads.
template <class P, class Engine, class Stages>
class RowGradients {
  using S = typename P::Scalar;

 public:
  RowGradients(const P& problem, const Engine& engine, const Stages& stages, const Session& session)
      : problem_(problem),
        engine_(engine),
        stages_(stages),
        session_(session),
        lanes_(kernel::kernels<S>().lanes),
        memory_(session.template object<RowGradientsMemory<S>>()) {}

  /// weight_gradient(row, d) writes the gradient by the entries of a row after the last stage.
  template <class WeightGradient>
  void run(Index first, Index count, const WeightGradient& weight_gradient, const GradientTargets<S>& to,
           ParameterGradients<S>& parameters) {
    const Index m = problem_.grid.m, d = problem_.d(), padded = round_up(d, lanes_);
    const Index padded_v = round_up(weight_gradient.dv(), Index{lanes_});
    S* const keys = copy_keys(padded);
    double* const dk = zeros(memory_.key_sums, size_product(m, padded));
    double* const dv = zeros(memory_.value_sums, size_product(m, padded_v));
    for (Index i = 0; i < problem_.grid.n && d > 0; ++i) std::fill_n(to.q.data + i * to.q.stride, d, S(0));
    start(parameters);
    for (Index worker = memory_.tapes.size(); worker < session_.concurrency(); ++worker) memory_.tapes.grow();

    const RowSink<S> nothing = ignored_rows_;
    const auto engine = prepare(engine_, first, count, session_, nothing);
    Index size = (std::min)(count, Index{64});
    for (Index begin = first; begin < first + count;) {
      Block block{begin, (std::min)(size, first + count - begin)};
      ensure_rows(block.count);
      differentiate(engine, block, weight_gradient, keys, padded, to, parameters);
      add_block(block, padded, dk, weight_gradient, padded_v, dv);
      begin += block.count;
      size = next_size(block);
    }
    write(dk, padded, m, d, to.k, to.adds);
    write(dv, padded_v, m, weight_gradient.dv(), to.v, to.adds);
  }

 private:
  static constexpr std::size_t depth = std::tuple_size_v<Stages>;
  struct Block {
    Index first, count;
  };
  struct IgnoredRows {
    void operator()(const Row<S>&, WorkerScratch&) const {}
  };
  static double* zeros(Buffer& buffer, Index count) {
    double* memory = buffer.template get<double>(count);
    std::fill_n(memory, count, 0.0);
    return memory;
  }
  /// Returns the keys as rows of `padded` numbers.
  S* copy_keys(Index padded) {
    const Index m = problem_.grid.m, d = problem_.d();
    S* const rows = memory_.keys.template get<S>(size_product(m, padded));
    if (d == 0) return rows;
    constexpr Index batch = 256;
    session_.run(ceil_div(m, batch), [&](Index task, Index) {
      for (Index j = task * batch; j < (std::min)((task + 1) * batch, m); ++j) {
        problem_.keys.copy(j, rows + j * padded);
        std::fill(rows + j * padded + d, rows + (j + 1) * padded, S(0));
      }
    });
    return rows;
  }
  void ensure_rows(Index count) {
    if (memory_.scores.size() < count) memory_.scores.resize(count);
    if (memory_.weights.size() < count) memory_.weights.resize(count);
  }
  /// Returns the number of rows of the next block: about a million entries, by the entries of this block.
  [[nodiscard]] Index next_size(const Block& block) const {
    Index entries = 0;
    for (Index i = 0; i < block.count; ++i)
      entries += memory_.scores[i].columns.size() + memory_.weights[i].columns.size();
    constexpr Index target = Index{1} << 21;
    return std::clamp<Index>(target / (entries / block.count + 1), 64, 65536);
  }

  /// Prepares the gradients by parameters: one entry for each stage with parameters.
  void start(ParameterGradients<S>& parameters) {
    parameters.stages.clear();
    with_indices<depth>([&]<std::size_t... L>(std::index_sequence<L...>) { (start_stage<L>(parameters), ...); });
  }
  template <std::size_t L>
  void start_stage(ParameterGradients<S>& parameters) {
    using T = std::remove_cvref_t<std::tuple_element_t<L, Stages>>;
    if constexpr (ParameterStage<T>) {
      entry_of_[L] = parameters.stages.size();
      parameters.stages.push_back({});
      if constexpr (has_pair_parameters<T>)
        parameters.stages.back().ends.push_back(0);
      else
        parameters.stages.back().sums.assign(std::get<L>(stages_).parameter_count(problem_.grid), 0.0);
    }
  }

  /// Backpropagates through the rows of a block, in parallel groups of rows.
  template <class Run, class WeightGradient>
  void differentiate(const Run& engine, const Block& block, const WeightGradient& weight_gradient, const S* keys,
                     Index padded, const GradientTargets<S>& to, ParameterGradients<S>& parameters) {
    const Index group = (std::max)(ceil_div(block.count, Index{64}), Index{16}), groups = ceil_div(block.count, group);
    Index parameter_count = 0;
    for (const auto& entry : parameters.stages) parameter_count += entry.sums.size();
    memory_.group_sums.assign(groups * parameter_count, 0.0);
    if (memory_.pairs.size() < block.count * pair_stages) memory_.pairs.resize(block.count * pair_stages);
    rows_of_block_ = block.count;
    for (EntriesOfRow<S>& row : memory_.pairs) row.clear();
    session_.run(groups, [&](Index task, Index worker) {
      const Index begin = block.first + task * group, end = (std::min)(begin + group, block.first + block.count);
      double* const sums = memory_.group_sums.data() + task * parameter_count;
      const auto take = [&](Row<S>& row, WorkerScratch& scratch) {
        differentiate_row(row, row.index - block.first, weight_gradient, keys, padded, to, memory_.tapes[worker], sums,
                          parameters, scratch);
      };
      engine.rows(begin, end, session_.scratch(worker), RowSink<S>(take));
    });
    Index at = 0;
    for (Index task = 0; task < groups; ++task)
      for (auto& entry : parameters.stages)
        for (double& sum : entry.sums) sum += memory_.group_sums[at++];
    Index pairs = 0;
    for (auto& entry : parameters.stages) {
      if (entry.ends.empty()) continue;
      for (Index i = 0; i < block.count; ++i) {
        const EntriesOfRow<S>& row = memory_.pairs[pairs * block.count + i];
        entry.columns.append(row.columns.begin(), row.columns.end());
        entry.values.append(row.values.begin(), row.values.end());
        entry.ends.push_back(entry.columns.size());
      }
      ++pairs;
    }
  }

  template <class WeightGradient>
  void differentiate_row(Row<S>& row, Index i, const WeightGradient& weight_gradient, const S* keys, Index padded,
                         const GradientTargets<S>& to, RowTape<S>& tape, double* sums,
                         const ParameterGradients<S>& parameters, WorkerScratch& scratch) {
    tape.forward(stages_, row);
    EntriesOfRow<S>&kept = memory_.weights[i], &list = memory_.scores[i];
    kept.clear();
    list.clear();
    kept.columns.append(row.columns, row.columns + row.count);
    kept.values.append(row.values, row.values + row.count);
    ScratchFrame frame(scratch);
    S* const dw = frame.template take<S>(row.count);
    weight_gradient(row, dw);
    const auto add = [&](Index l, Index index, S value) { add_parameter(l, index, value, i, sums, parameters); };
    constexpr auto softmax = static_cast<Index>(Form<Stages>::last_softmax);
    const Slice<S> ds = tape.backward(stages_, dw, add, softmax, weight_gradient.lse_gradient(row.index));
    // Entries that a stage removed have gradient 0. What is masked must not be read, since it may be NaN.
    const Slice<Column> columns = tape.columns();
    for (Index e = 0; e < ds.size(); ++e)
      if (!(ds[e] == S(0))) {
        list.columns.push_back(columns[e]);
        list.values.push_back(problem_.scale * ds[e]);
      }
    const Index d = problem_.d();
    if (d == 0) return;
    S* const dq = frame.template take<S>(padded);
    kernel::kernels<S>().gather(dq, list.values.begin(), list.columns.begin(), list.columns.size(), keys, padded,
                                padded);
    std::copy_n(dq, d, to.q.data + row.index * to.q.stride);
  }
  void add_parameter(Index l, Index index, S value, Index i, double* sums, const ParameterGradients<S>& parameters) {
    Index pairs = 0;
    for (Index entry = 0; entry < entry_of_[l]; ++entry) {
      sums += parameters.stages[entry].sums.size();
      pairs += parameters.stages[entry].ends.empty() ? 0 : 1;
    }
    if (parameters.stages[entry_of_[l]].ends.empty()) {
      sums[index] += static_cast<double>(value);
    } else if (!(value == S(0))) {
      EntriesOfRow<S>& row = memory_.pairs[pairs * rows_of_block_ + i];
      row.columns.push_back(static_cast<Column>(index % problem_.grid.m));
      row.values.push_back(value);
    }
  }

  /// Adds what the rows of a block give to the gradients by K and V, for parallel ranges of keys.
  template <class WeightGradient>
  void add_block(const Block& block, Index padded, double* dk, const WeightGradient& weight_gradient, Index padded_v,
                 double* dv) {
    const Index m = problem_.grid.m, d = problem_.d();
    S* const queries = memory_.block_queries.template get<S>(size_product(block.count, padded));
    for (Index i = 0; i < block.count && d > 0; ++i) {
      problem_.queries.copy(block.first + i, queries + i * padded);
      std::fill(queries + i * padded + d, queries + (i + 1) * padded, S(0));
    }
    const S* outs = nullptr;
    if constexpr (WeightGradient::has_values) {
      S* const rows = memory_.block_outs.template get<S>(size_product(block.count, padded_v));
      const auto& from = weight_gradient.d_out;
      for (Index i = 0; i < block.count; ++i) {
        std::copy_n(from.data + (block.first + i - weight_gradient.first) * from.stride, weight_gradient.dv(),
                    rows + i * padded_v);
        std::fill(rows + i * padded_v + weight_gradient.dv(), rows + (i + 1) * padded_v, S(0));
      }
      outs = rows;
    }
    // Each range reads the lists of all rows. The sum of a key does not depend on the ranges.
    const Index workers = session_.concurrency(), ranges = workers == 1 ? 1 : 4 * workers;
    const Index width = (std::max)(ceil_div(m, ranges), Index{64});
    session_.run(ceil_div(m, width), [&](Index task, Index worker) {
      const Range columns{task * width, (std::min)((task + 1) * width, m)};
      ScratchFrame frame(session_.scratch(worker));
      if (padded > 0) add_transposed(memory_.scores.data(), block.count, columns, queries, padded, dk, frame);
      if (padded_v > 0) add_transposed(memory_.weights.data(), block.count, columns, outs, padded_v, dv, frame);
    });
  }
  static void write(const double* sums, Index padded, Index rows, Index columns, kernel::StridedRows<S> to, bool adds) {
    for (Index c = 0; c < rows && columns > 0; ++c, to.data += to.stride)
      for (Index f = 0; f < columns; ++f)
        to.data[f] = (adds ? to.data[f] : S(0)) + static_cast<S>(sums[c * padded + f]);
  }

  static constexpr Index pair_stages = with_indices<depth>([]<std::size_t... L>(std::index_sequence<L...>) {
    return (Index{has_pair_parameters<std::tuple_element_t<L, Stages>> ? 1 : 0} + ... + Index{0});
  });

  const P& problem_;
  const Engine& engine_;
  const Stages& stages_;
  const Session& session_;
  Index lanes_;
  IgnoredRows ignored_rows_{};
  Index entry_of_[depth + 1] = {};  // of each stage with parameters, in ParameterGradients
  Index rows_of_block_ = 0;
  RowGradientsMemory<S>& memory_;
};

}  // namespace filigree::detail
