// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/engine/choose.hpp"
#include "filigree/engine/few_queries.hpp"

// Which products the engine of few queries computes, and how it runs.

namespace filigree::detail {

/// True if the engine of few queries computes the pipeline: its stages work on rows, and no other engine of the product
/// sums in another order.
template <class Stages>
constexpr bool has_few_queries_engine() {
  using F = Form<Stages>;
  if constexpr (has_router<Stages> || !F::is_row_wise || F::has_lazy_rows || F::drops_weights) {
    return false;
  } else {
    constexpr EngineKind kind = choose_for_product<Stages>();
    return kind != EngineKind::strided_softmax && kind != EngineKind::partitioned_softmax &&
           kind != EngineKind::lazy_rows;
  }
}

/// Returns true if the engine of few queries is faster than the engine of one head: K and V are then read about once.
inline bool is_few_queries(Index n, Index group) { return n <= 16 && n * group <= 128; }

/// Returns the number of tasks that keep all workers busy.
inline Index few_queries_tasks(const Session& session) {
  return session.concurrency() > 1 ? 4 * session.concurrency() : 1;
}

/// Computes the attention of few queries of several sequences together.
template <class Engine>
void run_few_queries(const Engine* const* engines, Index count, const Session& session) {
  const auto run = [&](const auto& tasks_of, const auto& call) {
    Index tasks = 0;
    for (Index e = 0; e < count; ++e) tasks += tasks_of(*engines[e]);
    session.run(tasks, [&](Index task, Index worker) {
      const Engine* const* engine = engines;
      for (; task >= tasks_of(**engine); ++engine) task -= tasks_of(**engine);
      call(**engine, task, session.scratch(worker));
    });
  };
  run([](const Engine& e) { return e.tasks(); },
      [](const Engine& e, Index task, WorkerScratch& scratch) { e.attend(task, scratch); });
  run([](const Engine& e) { return e.finish_tasks(); },
      [](const Engine& e, Index task, WorkerScratch& scratch) { e.finish(task, scratch); });
}

}  // namespace filigree::detail
