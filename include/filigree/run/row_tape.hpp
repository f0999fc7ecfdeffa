// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/core/list.hpp"
#include "filigree/core/with_indices.hpp"
#include "filigree/stage/apply.hpp"
#include "filigree/stage/derivative.hpp"
#include "filigree/stage/row.hpp"

namespace filigree::detail {

/// The general reverse evaluator: records the entries of a row before each stage, then backpropagates through the
/// stages. It defines the gradient of every pipeline of row stages. Its memory is reused.
///
/// Cost  O(m) memory per stage
template <Real S>
class RowTape {
 public:
  /// Applies the stages to a row, and records it before each stage and after the last one.
  template <class... T>
  void forward(const std::tuple<T...>& stages, Row<S>& row) {
    values_.clear();
    columns_.clear();
    records_.clear();
    grid_ = row.grid;
    index_ = row.index;
    record(row);
    std::apply([&](const auto&... stage) { ((apply(stage, row), record(row)), ...); }, stages);
  }

  /// Returns the gradient with respect to the entries before the first stage, in their order. d is the gradient with
  /// respect to the entries after the last stage. Calls add(stage, index, value) for the gradients of parameters. The
  /// gradient with respect to the logsumexp of stage `lse_stage`, a softmax, is d_lse.
  template <class... T, class Add>
  Slice<S> backward(const std::tuple<T...>& stages, const S* d, const Add& add, Index lse_stage = -1, S d_lse = 0) {
    constexpr std::size_t depth = sizeof...(T);
    lse_stage_ = lse_stage;
    d_lse_ = d_lse;
    gradient_.resize((std::max)(records_[0].count, Index{1}));
    std::copy_n(d, records_.back().count, gradient_.data());
    with_indices<depth>([&]<std::size_t... At>(std::index_sequence<At...>) {
      (backward_stage(std::get<depth - 1 - At>(stages), static_cast<Index>(depth - 1 - At), add), ...);
    });
    return {gradient_.begin(), gradient_.begin() + records_[0].count};
  }
  template <class... T>
  Slice<S> backward(const std::tuple<T...>& stages, const S* d) {
    return backward(stages, d, [](Index, Index, S) {});
  }

  [[nodiscard]] Slice<Column> columns() const { return columns_of(0); }

 private:
  struct Record {
    Index at, count;
    S maximum, sum;
  };

  void record(const Row<S>& row) {
    records_.push_back({values_.size(), row.count, row.maximum, row.sum});
    values_.append(row.values, row.values + row.count);
    columns_.append(row.columns, row.columns + row.count);
    values_.resize(values_.size() + Row<S>::padding);
    columns_.resize(columns_.size() + Row<S>::padding);
  }
  [[nodiscard]] Slice<Column> columns_of(Index l) const {
    const Column* begin = columns_.begin() + records_[l].at;
    return {begin, begin + records_[l].count};
  }
  Row<S> row_of(const Record& record, S* values) {
    return {.grid = grid_,
            .index = index_,
            .values = values,
            .columns = columns_.data() + record.at,
            .count = record.count,
            .scratch = scratch_,
            .maximum = record.maximum,
            .sum = record.sum};
  }

  template <class T, class Add>
  void backward_stage(const T& stage, Index l, const Add& add) {
    const Record &before = records_[l], &after = records_[l + 1];
    const Slice<Column> all = columns_of(l), kept = columns_of(l + 1);
    values_before_.resize(after.count + Row<S>::padding);
    for_each_kept(all, kept, [&](Index e, Index k) { values_before_[k] = values_[before.at + e]; });

    Row<S> in = row_of(after, values_before_.data());
    in.maximum = before.maximum;
    in.sum = before.sum;
    const Row<S> out = row_of(after, values_.data() + after.at);
    parameter_gradient(stage, in, out, gradient_.data(), [&](Index index, S value) { add(l, index, value); });
    detail::backward(stage, in, out, gradient_.data());
    if constexpr (requires { stage.backward_logsumexp(out, S(), gradient_.data(), [](Index, S) {}); })
      if (l == lse_stage_)
        stage.backward_logsumexp(out, d_lse_, gradient_.data(), [&](Index index, S value) { add(l, index, value); });

    Index k = after.count;
    for (Index e = before.count - 1; e >= 0; --e) {  // from the end, because entry e is at least as far as entry k
      const bool is_kept = k > 0 && kept.begin()[k - 1] == all.begin()[e];
      gradient_[e] = is_kept ? gradient_[--k] : S(0);
    }
  }
  template <class F>
  static void for_each_kept(Slice<Column> all, Slice<Column> kept, const F& f) {
    Index k = 0;
    for (Index e = 0; e < all.size() && k < kept.size(); ++e)
      if (all.begin()[e] == kept.begin()[k]) f(e, k++);
  }

  Grid grid_;
  Index index_ = 0;
  List<S> values_, values_before_, gradient_;
  List<Column> columns_;
  List<Record> records_;
  Index lse_stage_ = -1;
  S d_lse_ = 0;
  RowScratch scratch_;
};

}  // namespace filigree::detail
