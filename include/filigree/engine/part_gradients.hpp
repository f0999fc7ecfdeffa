// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <span>

#include "filigree/core/integers.hpp"
#include "filigree/core/list.hpp"
#include "filigree/engine/gradient_tile.hpp"
#include "filigree/engine/problem.hpp"
#include "filigree/engine/reordered.hpp"
#include "filigree/engine/values.hpp"

// The gradients of patterns whose parts are dense problems: PartitionedParts and StridedParts. The operands of a part
// are copied in its order. What the keys get is kept for a batch of parts, and added in the order of the parts, so that
// the sums do not depend on the threads.

namespace filigree::detail {

/// The memory of PartGradients, which a workspace keeps.
template <Real S>
struct PartGradientsMemory {
  Buffer columns, sums;
  List<Order> orders;  // of the parts of a batch
};

template <class P, class Parts>
class PartGradients {
  using S = typename P::Scalar;
  using Subset = Problem<GatheredQueries<decltype(P::queries), Column>, GatheredKeys<S>>;

 public:
  /// Row `first` is the first row of the operands.
  PartGradients(const P& problem, const Parts& parts, const TileOperands<S>& operands, const ValueRows<S>& v,
                Index first, const Session& session)
      : problem_(problem),
        parts_(parts),
        operands_(operands),
        v_(v),
        first_(first),
        session_(session),
        memory_(session.template object<PartGradientsMemory<S>>()) {}

  /// Adds what the parts give to the gradients, and to the sums of the parameters of maps, [part][parameter_count].
  void add(double* parameters, Index parameter_count) {
    const Index total = parts_.count(), keys = (std::max)(parts_.max_keys(), Index{1});
    const Index length = operands_.padded + operands_.padded_v;
    const Index most = std::clamp<Index>(2 * problem_.grid.m / keys, 1, 64);
    Column* const columns = memory_.columns.template get<Column>(size_product(most, parts_.memory()));
    S* const sums = memory_.sums.template get<S>(size_product(size_product(most, keys), length));
    memory_.orders.resize(most);
    for (Index begin = 0, end = 0; begin < total; begin = end) {
      end = (std::min)({begin + most, total, (begin / parts_.per_round() + 1) * parts_.per_round()});
      session_.run(end - begin, [&](Index task, Index worker) {
        const auto part = parts_.part(begin + task, columns + task * parts_.memory());
        memory_.orders[task] = part.order;
        if (part.order.queries.empty()) return;
        add_part(part.order, parts_.stages(part), sums + task * keys * length,
                 parameters + (begin + task) * parameter_count, session_.scratch(worker));
      });
      constexpr Index batch = 512;
      session_.run(ceil_div(problem_.grid.m, batch), [&](Index task, Index) {
        for (Index at = 0; at < end - begin; ++at)
          add_to_keys(memory_.orders[at], sums + at * keys * length, task * batch, (task + 1) * batch);
      });
    }
  }

 private:
  /// Computes a part. Its sums by the keys are written to `sums`: those by K, and then those by V.
  template <class Stages>
  void add_part(const Order& order, const Stages& stages, S* sums, double* parameters, WorkerScratch& scratch) const {
    ScratchFrame frame(scratch);
    const auto n = static_cast<Index>(order.queries.size()), m = static_cast<Index>(order.keys.size());
    const Index padded = operands_.padded, padded_v = operands_.padded_v;
    S* const packed = frame.take<S>(PackedPanels<S>::size(m, problem_.d()));
    const Subset subset{{problem_.queries, order.queries},
                        gather_keys(problem_.keys, order.keys, packed),
                        {.n = n, .m = m},
                        problem_.scale};
    const auto gathered = [&](const S* from, Index stride, std::span<const Column> rows, Index first) {
      S* const to = frame.take<S>(static_cast<Index>(rows.size()) * stride);
      for (std::size_t r = 0; r < rows.size() && stride > 0; ++r)
        std::copy_n(from + (rows[r] - first) * stride, stride, to + static_cast<Index>(r) * stride);
      return to;
    };
    const ValueRows<S> values = reordered(v_, order, frame);
    S* const value_panels = frame.take<S>(PackedPanels<S>::size(m, v_.dv));
    S* const dq = frame.take<S>(n * padded);
    std::fill_n(dq, n * padded, S(0));
    std::fill_n(sums, m * (padded + padded_v), S(0));
    const kernel::SoftmaxRows<S>& rows = operands_.rows;
    const TileOperands<S> operands{
        .queries = gathered(operands_.queries, padded, order.queries, first_),
        .keys = gathered(operands_.keys, padded, order.keys, 0),
        .outs = gathered(operands_.outs, padded_v, order.queries, first_),
        .values = pack_panels_to(MemoryReader<S>(values.data, m, v_.dv, values.stride, 1), value_panels,
                                 [](Index tasks, const auto& f) {
                                   for (Index task = 0; task < tasks; ++task) f(task, 0);
                                 }),
        .padded = padded,
        .padded_v = padded_v,
        .rows = {gathered(rows.maximum, 1, order.queries, first_), gathered(rows.inverse, 1, order.queries, first_),
                 gathered(rows.mean, 1, order.queries, first_)},
        .dq = {dq, padded},
        .dk = {sums, padded},
        .dv = {sums + m * padded, padded_v}};
    const GradientTile<Subset, Stages> tile(subset, stages, padded, v_.dv, 0);
    tile.add(0, n, {0, round_up(m, Index(kernel::kernels<S>().width))}, operands, parameters, scratch);
    for (Index r = 0; r < n; ++r) {
      const Index row = order.queries[static_cast<std::size_t>(r)] - first_;
      add_row(dq + r * padded, padded, operands_.dq, row);
    }
  }
  /// Adds the sums of a part by the keys in columns [begin, end).
  void add_to_keys(const Order& order, const S* sums, Index begin, Index end) const {
    if (order.queries.empty()) return;
    const auto keys = order.keys;
    const Index padded = operands_.padded, padded_v = operands_.padded_v, m = static_cast<Index>(keys.size());
    Index at = std::lower_bound(keys.begin(), keys.end(), begin) - keys.begin();
    for (; at < m && keys[static_cast<std::size_t>(at)] < end; ++at) {
      const Index key = keys[static_cast<std::size_t>(at)];
      add_row(sums + at * padded, padded, operands_.dk, key);
      add_row(sums + m * padded + at * padded_v, padded_v, operands_.dv, key);
    }
  }

  const P& problem_;
  const Parts& parts_;
  const TileOperands<S>& operands_;
  const ValueRows<S>& v_;
  Index first_;
  const Session& session_;
  PartGradientsMemory<S>& memory_;
};

}  // namespace filigree::detail
