// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/core/integers.hpp"
#include "filigree/nn/by_column.hpp"

// Products of lists and dense matrices, which read only the kept entries. Sums run over ascending columns or samples,
// so results do not depend on the number of threads.

namespace filigree::detail {

/// Computes out = sum over the list of weights[e] * v.row(columns[e]). v has `cols` columns.
template <Real S>
void gather_rows(S* out, const S* weights, const Column* columns, Index count, const S* v, Index cols) {
  const auto& kernels = kernel::kernels<S>();
  const Index vectorized = cols / kernels.lanes * kernels.lanes;
  kernels.gather(out, weights, columns, count, v, cols, vectorized);
  for (Index f = vectorized; f < cols; ++f) {
    S sum = 0;
    for (Index e = 0; e < count; ++e) sum += weights[e] * v[columns[e] * cols + f];
    out[f] = sum;
  }
}

/// Computes y = lists * weights + biases, or y += lists * weights if biases is null. Calls finish(first, last) for
/// complete rows.
///
/// Shapes  lists: n x in, weights: in x out, biases: out, y: n x out
template <Real S, class F>
void multiply_lists(const Lists<S>& lists, const S* weights, const S* biases, Index out, S* y, const Session& session,
                    F&& finish) {
  for (Index worker = 0; worker < session.concurrency(); ++worker)  // any worker may run a task
    (void)ScratchFrame(session.scratch(worker)).take<S>(out);
  session.run(ceil_div(lists.n, samples_per_task), [&](Index task, Index worker) {
    const Index first = task * samples_per_task, last = (std::min)(first + samples_per_task, lists.n);
    ScratchFrame frame(session.scratch(worker));
    S* sums = frame.take<S>(out);
    for (Index i = first; i < last; ++i) {
      S* row = y + i * out;
      gather_rows(biases != nullptr ? row : sums, lists.values + i * lists.stride, lists.columns + i * lists.stride,
                  lists.counts[i], weights, out);
      const S* summand = biases != nullptr ? biases : sums;
      for (Index f = 0; f < out; ++f) row[f] += summand[f];
    }
    finish(first, last);
  });
}

/// Computes the gradients of the values of lists: the product of each row of dy with the rows of the weights at the
/// columns of its list.
///
/// Shapes  lists: n x in, dy: n x out, weights: in x out
template <Real S>
void dot_lists(const Lists<S>& lists, const ConstRows<S>& dy, const S* weights, const Session& session) {
  const Index out = dy.cols();
  for_each_rows(lists.n, session, [&](Index first, Index last) {
    for (Index i = first; i < last; ++i)
      kernel::kernels<S>().dots(lists.gradients + i * lists.stride, dy.data() + i * out,
                                lists.columns + i * lists.stride, lists.counts[i], weights, out, out);
  });
}

/// Computes to = lists' x, from lists that are sorted by column.
///
/// Shapes  by_column: n x cols, x: n x d, to: cols x d
template <Real S>
void multiply_columns(const ByColumn<S>& by_column, Index cols, const ConstRows<S>& x, S* to, const Session& session) {
  const Index d = x.cols();
  for_each_rows(cols, session, [&](Index first, Index last) {
    for (Index j = first; j < last; ++j)
      gather_rows(to + j * d, by_column.values(j), by_column.rows(j), by_column.count(j), x.data(), d);
  });
}

/// Computes to = x' lists, from lists that are sorted by column.
///
/// Shapes  x: n x d, by_column: n x cols, to: d x cols
template <Real S>
void multiply_transposed(const ConstRows<S>& x, const ByColumn<S>& by_column, Index cols, S* to,
                         const Session& session) {
  const auto& kernels = kernel::kernels<S>();
  const Index d = x.cols(), width = kernels.width;
  constexpr Index batch = 4;  // panels written together, because each row of `to` is in a different memory page
  for (Index worker = 0; worker < session.concurrency(); ++worker) {  // any worker may run a task
    ScratchFrame frame(session.scratch(worker));
    (void)frame.take<S>(width * d);
    (void)frame.take<S>(batch * width * d);
  }
  session.run((cols + batch * width - 1) / (batch * width), [&](Index task, Index worker) {
    ScratchFrame frame(session.scratch(worker));
    S* sums = frame.take<S>(width * d);                // [width][d]
    S* transposed = frame.take<S>(batch * width * d);  // [batch][d][width]
    const Index begin = task * batch * width, end = (std::min)(begin + batch * width, cols);
    for (Index j0 = begin; j0 < end; j0 += width) {
      const Index count = (std::min)(width, end - j0);
      for (Index c = 0; c < count; ++c)
        gather_rows(sums + c * d, by_column.values(j0 + c), by_column.rows(j0 + c), by_column.count(j0 + c), x.data(),
                    d);
      kernels.pack_panel(sums, d, count, d, transposed + (j0 - begin) * d);
    }
    for (Index f = 0; f < d; ++f)
      for (Index j0 = begin; j0 < end; j0 += width)
        std::copy_n(transposed + (j0 - begin) * d + f * width, (std::min)(width, end - j0), to + f * cols + j0);
  });
}

}  // namespace filigree::detail
