// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <limits>
#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/core/integers.hpp"
#include "filigree/core/list.hpp"
#include "filigree/engine/choose.hpp"
#include "filigree/engine/dropped_weights.hpp"
#include "filigree/engine/gradient_tasks.hpp"
#include "filigree/engine/gradient_tile.hpp"
#include "filigree/engine/part_gradients.hpp"
#include "filigree/engine/row_gradients.hpp"
#include "filigree/engine/score_tiles.hpp"
#include "filigree/engine/softmax_statistics.hpp"
#include "filigree/engine/stage_subsets.hpp"
#include "filigree/engine/values.hpp"

// The gradients of problem | patterns and maps | softmax, optionally | dropout, times V, tile by tile. The weights of a
// tile are recomputed from the maximum and the sum of each row, so the memory grows with the rows only.

namespace filigree::detail {

/// The memory of TileGradients, which a workspace keeps.
template <Real S>
struct TileGradientsMemory {
  Buffer queries, keys, outs, value_panels, q_sums, k_sums, v_sums, hub_sums;
  List<S> maximum, inverse, mean;  // of each row of softmax
  List<double> block_sums;         // of parameters, for each block of rows
  GradientTasks tasks;
};

template <class P, class Stages>
class TileGradients {
  using S = typename P::Scalar;
  using Form = detail::Form<Stages>;
  static constexpr EngineKind kind = choose_for_product<Stages>();

 public:
  /// True if the pipeline has this form, and no gradient for each pair.
  static constexpr bool possible = [] {
    if constexpr (kind == EngineKind::online_softmax || kind == EngineKind::online_softmax_or_gathered ||
                  kind == EngineKind::strided_softmax || kind == EngineKind::partitioned_softmax)
      return with_indices<Form::streamed>([]<std::size_t... L>(std::index_sequence<L...>) {
        return ((PatternStage<std::tuple_element_t<L, Stages>> ||
                 (DifferentiableMap<std::remove_cvref_t<std::tuple_element_t<L, Stages>>, S> &&
                  !has_pair_parameters<std::tuple_element_t<L, Stages>>)) &&
                ...);
      });
    else
      return false;
  }();

  TileGradients(P& problem, const Stages& stages, const Session& session)
      : problem_(problem),
        stages_(stages),
        session_(session),
        kernels_(kernel::kernels<S>()),
        padded_(round_up(problem.d(), Index(kernels_.lanes))),
        memory_(session.template object<TileGradientsMemory<S>>()) {}

  /// Uses what SavingSink kept, and the product, instead of computing the forward pass.
  void use_statistics(const List<S>& maximum, const List<S>& inverse) {
    memory_.maximum = maximum;
    memory_.inverse = inverse;
    has_statistics_ = true;
  }

  /// Computes the gradients of rows [first, first + count). Returns false, and has written nothing, if an operand is
  /// not finite: what is masked must not be multiplied by 0 then.
  bool run(Index first, Index count, const ProductGradient<S>& gradient, const GradientTargets<S>& to,
           ParameterGradients<S>& parameters) {
    const Index m = problem_.grid.m, d = problem_.d(), dv = gradient.dv();
    padded_v_ = round_up(dv, Index(kernels_.lanes));
    if (!read_operands(first, count, gradient)) return false;
    problem_.pack(session_, count);
    for (Index worker = 0; worker < session_.concurrency(); ++worker) problem_.keys.reserve(session_.scratch(worker));
    attend(first, count, gradient);
    fill_zero({to.q, 0, first}, d);
    fill_zero({to.q, first + count, problem_.grid.n}, d);
    const auto rows_of_q = [&] {
      return kernel::StridedRows<S>{to.q.data + (d > 0 ? first * to.q.stride : 0), to.q.stride};
    };
    const auto dq = sums_of(rows_of_q(), count, d, padded_, false, memory_.q_sums);
    const auto dk = sums_of(to.k, m, d, padded_, to.adds, memory_.k_sums);
    const auto dv_sums = sums_of(to.v, m, dv, padded_v_, to.adds, memory_.v_sums);

    const TileOperands<S> operands{.queries = queries_,
                                   .keys = keys_,
                                   .outs = outs_,
                                   .values = values_,
                                   .padded = padded_,
                                   .padded_v = padded_v_,
                                   .rows = {memory_.maximum.begin(), memory_.inverse.begin(), memory_.mean.begin()},
                                   .dq = dq,
                                   .dk = dk,
                                   .dv = dv_sums};
    memory_.block_sums.clear();
    add(first, count, gradient, operands);
    finish(rows_of_q(), count, d, dq, false);
    finish(to.k, m, d, dk, to.adds);
    finish(to.v, m, dv, dv_sums, to.adds);
    finish_parameters(count, parameters);
    return true;
  }

 private:
  /// Some rows of a matrix.
  struct RowsOfTarget {
    kernel::StridedRows<S> matrix;
    Index begin, end;
  };
  void fill_zero(const RowsOfTarget& rows, Index length) const {
    constexpr Index batch = 256;
    session_.run(length > 0 ? ceil_div(rows.end - rows.begin, batch) : 0, [&](Index task, Index) {
      const Index begin = rows.begin + task * batch, end = (std::min)(begin + batch, rows.end);
      for (Index i = begin; i < end; ++i) std::fill_n(rows.matrix.data + i * rows.matrix.stride, length, S(0));
    });
  }

  /// Sets Q, K and dO as contiguous rows of whole vectors, which are copies only if the operands are stored otherwise,
  /// and V as panels. Returns false if a number is not finite.
  bool read_operands(Index first, Index count, const ProductGradient<S>& gradient) {
    const Index m = problem_.grid.m, d = problem_.d();
    constexpr Index batch = 256;
    std::atomic<bool> finite{true};
    const auto rows_of = [&](Buffer& buffer, Index rows, Index length, Index padded, const auto& in_place,
                             const auto& copy) -> const S* {
      const bool direct = in_place.data != nullptr && in_place.stride == padded && length == padded;
      S* const to = direct ? nullptr : buffer.template get<S>(size_product(rows, padded));
      const S* const from = direct ? in_place.data : to;
      session_.run(padded > 0 ? ceil_div(rows, batch) : 0, [&](Index task, Index) {
        const Index begin = task * batch, end = (std::min)(begin + batch, rows);
        for (Index i = begin; i < end && !direct; ++i) {
          copy(i, to + i * padded);
          std::fill(to + i * padded + length, to + (i + 1) * padded, S(0));
        }
        if (!kernels_.all_finite(from + begin * padded, padded, end - begin, padded))
          finite.store(false, std::memory_order_relaxed);
      });
      return from;
    };
    kernel::StridedRows<const S> q{nullptr, 0};
    if constexpr (requires { problem_.queries.in_place(); }) q = problem_.queries.in_place();
    if (q.data != nullptr && d > 0) q.data += first * q.stride;
    queries_ =
        rows_of(memory_.queries, count, d, padded_, q, [&](Index i, S* row) { problem_.queries.copy(first + i, row); });
    keys_ = rows_of(memory_.keys, m, d, padded_, problem_.keys.in_place(),
                    [&](Index j, S* row) { problem_.keys.copy(j, row); });
    outs_ = rows_of(memory_.outs, count, gradient.dv(), padded_v_, gradient.d_out, [&](Index i, S* row) {
      std::copy_n(gradient.d_out.data + i * gradient.d_out.stride, gradient.dv(), row);
    });
    const ValueRows<S>& v = gradient.v;
    session_.run(padded_v_ > 0 ? ceil_div(m, batch) : 0, [&](Index task, Index) {
      const Index begin = task * batch, end = (std::min)(begin + batch, m);
      if (!kernels_.all_finite(v.data + begin * v.stride, v.stride, end - begin, v.padded))
        finite.store(false, std::memory_order_relaxed);
    });
    if (!finite.load()) return false;
    const MemoryReader<S> reader(v.data, m, v.dv, v.stride, 1);
    values_ = pack_panels<S>(reader, memory_.value_panels, session_);
    return true;
  }

  /// Computes the statistics of the rows by the engine of the forward pass.
  void attend(Index first, Index count, const ProductGradient<S>& gradient) {
    for (List<S>* list : {&memory_.maximum, &memory_.inverse, &memory_.mean}) list->resize(count);
    const SoftmaxStatistics<S> statistics{gradient, memory_.maximum.data(), memory_.inverse.data(),
                                          memory_.mean.data()};
    if (has_statistics_) {
      constexpr Index batch = 64;
      session_.run(ceil_div(count, batch), [&](Index task, Index) {
        for (Index i = task * batch; i < (std::min)((task + 1) * batch, count); ++i)
          statistics.set_mean(first + i, gradient.out.data + i * gradient.out.stride);
      });
      return;
    }
    const typename Choice<P>::template Product<Stages> engine(problem_, stages_, session_, count);
    for_each_row(engine, first, count, session_, statistics);
  }

  /// Returns where the sums of a gradient are computed: in the target, if its rows are whole vectors, or in a buffer.
  kernel::StridedRows<S> sums_of(const kernel::StridedRows<S>& target, Index rows, Index length, Index padded,
                                 bool adds, Buffer& buffer) const {
    const bool direct = length == padded && !adds;
    const kernel::StridedRows<S> sums =
        direct ? target : kernel::StridedRows<S>{buffer.template get<S>(size_product(rows, padded)), padded};
    fill_zero({sums, 0, rows}, padded);
    return sums;
  }
  static void finish(const kernel::StridedRows<S>& target, Index rows, Index length, const kernel::StridedRows<S>& sums,
                     bool adds) {
    if (sums.data == target.data) return;
    for (Index i = 0; i < rows && length > 0; ++i)
      for (Index f = 0; f < length; ++f) {
        S& x = target.data[i * target.stride + f];
        x = (adds ? x : S(0)) + sums.data[i * sums.stride + f];
      }
  }

  /// Adds what all pairs give to the gradients, and appends the sums of the parameters of maps to block_sums.
  void add(Index first, Index count, const ProductGradient<S>& gradient, const TileOperands<S>& operands) {
    if constexpr (kind == EngineKind::partitioned_softmax) {
      add_parts(PartitionedParts<P, Stages>(problem_, stages_, first, first + count), first, gradient, operands);
    } else if constexpr (kind == EngineKind::strided_softmax) {
      using Parts = StridedParts<P, Stages>;
      if constexpr (Parts::has_dense) add_tiles(Parts::dense_stages(stages_), first, count, gradient.dv(), operands);
      const Index rows = ceil_div(count, (std::max)(Parts::residues(stages_, count), Index{1}));
      add_parts(Parts(problem_, stages_, first, first + count, (std::max)(ceil_div(rows, Index{512}), Index{1})), first,
                gradient, operands);
    } else {
      add_tiles(stages_, first, count, gradient.dv(), operands);
    }
  }
  /// Returns the sums of the parameters of maps for `blocks` more blocks.
  double* more_sums(Index blocks) {
    const Index size = memory_.block_sums.size();
    memory_.block_sums.resize(size + blocks * parameter_count());
    std::fill(memory_.block_sums.begin() + size, memory_.block_sums.end(), 0.0);
    return memory_.block_sums.data() + size;
  }
  template <class Parts>
  void add_parts(const Parts& parts, Index first, const ProductGradient<S>& gradient, const TileOperands<S>& operands) {
    PartGradients<P, Parts>(problem_, parts, operands, gradient.v, first, session_)
        .add(more_sums(parts.count()), parameter_count());
  }
  template <class TileStages>
  void add_tiles(const TileStages& stages, Index first, Index count, Index dv, const TileOperands<S>& operands) {
    const GradientTile<P, TileStages> tile(problem_, stages, padded_, dv, first);
    const Index block_rows = tile.rows_per_task(count), block_keys = tile.keys_per_block();
    double* const sums = more_sums(ceil_div(count, block_rows));
    const auto compute = [&](const GradientTask& task, const TileOperands<S>& to, WorkerScratch& scratch) {
      const Index begin = first + task.rows * block_rows;
      tile.add(begin, (std::min)(begin + block_rows, first + count),
               {task.keys.begin * block_keys, task.keys.end * block_keys}, to, sums + task.rows * parameter_count(),
               scratch);
    };
    find_tasks(tile, first, count);
    const List<GradientTask>& phase = memory_.tasks.phase();
    while (memory_.tasks.take_hubs()) add_hubs(block_keys, operands, compute);
    while (memory_.tasks.take_phase())
      session_.run(phase.size(),
                   [&](Index at, Index worker) { compute(phase[at], operands, session_.scratch(worker)); });
  }
  /// Computes the tasks of a phase of hubs with sums of their own by the keys, and adds these in order.
  template <class Compute>
  void add_hubs(Index block_keys, const TileOperands<S>& operands, const Compute& compute) {
    const List<GradientTask>& phase = memory_.tasks.phase();
    const Index padded = operands.padded, padded_v = operands.padded_v, size = block_keys * (padded + padded_v);
    S* const memory = memory_.hub_sums.template get<S>(size_product(phase.size(), size));
    session_.run(phase.size(), [&](Index at, Index worker) {
      S* const sums = memory + at * size;
      std::fill_n(sums, size, S(0));
      TileOperands<S> own = operands;
      own.dk = {sums, padded};
      own.dv = {sums + block_keys * padded, padded_v};
      own.first_key = phase[at].keys.begin * block_keys;
      compute(phase[at], own, session_.scratch(worker));
    });
    constexpr Index batch = 32;
    session_.run(ceil_div(block_keys, batch), [&](Index task, Index) {
      for (Index at = 0; at < phase.size(); ++at) {
        const S* const sums = memory + at * size;
        const Index first = phase[at].keys.begin * block_keys;
        const Index end = (std::min)({(task + 1) * batch, block_keys, problem_.grid.m - first});
        for (Index j = task * batch; j < end; ++j) {
          add_row(sums + j * padded, padded, operands.dk, first + j);
          add_row(sums + block_keys * padded + j * padded_v, padded_v, operands.dv, first + j);
        }
      }
    });
  }

  template <class Tile>
  void find_tasks(const Tile& tile, Index first, Index count) const {
    const Index block_rows = tile.rows_per_task(count), blocks = ceil_div(count, block_rows);
    memory_.tasks.start(problem_.grid.m, tile.keys_per_block(), blocks);
    WorkerScratch& scratch = session_.scratch(0);
    for (Index i = 0; i < blocks; ++i) {
      const Index begin = first + i * block_rows;
      tile.plan(begin, (std::min)(begin + block_rows, first + count), scratch);
      memory_.tasks.add(i, scratch.block_spans);
    }
    memory_.tasks.sort();
    scratch.block_spans.clear();
  }

  /// Calls f(count) for each map with parameters, with their number.
  template <class F>
  void each_parameter_map(const F& f) const {
    with_indices<Form::streamed>([&]<std::size_t... L>(std::index_sequence<L...>) {
      (count_parameters(std::get<L>(stages_), f), ...);
    });
  }
  template <class T, class F>
  void count_parameters(const T& stage, const F& f) const {
    if constexpr (MapStage<T> && ParameterStage<T>) f(stage.parameter_count(problem_.grid));
  }
  /// Returns the number of parameters of all maps.
  [[nodiscard]] Index parameter_count() const {
    Index count = 0;
    each_parameter_map([&](Index size) { count += size; });
    return count;
  }

  /// Adds the sums of the blocks of rows, in their order. The last parameter is the sink.
  void finish_parameters(Index rows, ParameterGradients<S>& parameters) {
    parameters.stages.clear();
    const Index count = parameter_count(), blocks = count > 0 ? memory_.block_sums.size() / count : 0;
    Index at = 0;
    each_parameter_map([&](Index size) {
      parameters.stages.push_back({});
      List<double>& sums = parameters.stages.back().sums;
      sums.assign(size, 0.0);
      for (Index block = 0; block < blocks; ++block)
        for (Index p = 0; p < size; ++p) sums[p] += memory_.block_sums[block * count + at + p];
      at += size;
    });
    parameters.stages.push_back({});
    const Softmax& softmax = std::get<Form::streamed>(stages_);
    if (softmax.parameter_count(problem_.grid) == 0) return;
    double sum = 0;
    for (Index i = 0; i < rows; ++i)
      sum -= std::exp(softmax.sink - static_cast<double>(memory_.maximum[i])) *
             static_cast<double>(memory_.inverse[i]) * static_cast<double>(memory_.mean[i]);
    parameters.stages.back().sums.assign(1, sum);
  }

  P& problem_;
  const Stages& stages_;
  const Session& session_;
  const kernel::Kernels<S>& kernels_;
  Index padded_, padded_v_ = 0;
  TileGradientsMemory<S>& memory_;
  const S *queries_ = nullptr, *keys_ = nullptr, *outs_ = nullptr;  // rows of whole vectors
  PackedPanels<S> values_ = PackedPanels<S>::none(0, 0);
  bool has_statistics_ = false;
};

}  // namespace filigree::detail
