// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"

namespace filigree::detail {

/// The number of queries among the outputs of a batch: a given one, or that of groups of a query and its documents.
struct QueryCount {
  Index queries = 0;    // 0: by the number of documents
  Index documents = 0;  // of each query

  [[nodiscard]] Index of(Index rows, const char* call) const {
    if (documents == 0) return queries;
    require(rows > 0 && rows % (documents + 1) == 0, call, "({.documents = ", documents,
            "}): the number of outputs must be a multiple of ", documents + 1, ", got ", rows);
    return rows / (documents + 1);
  }
};

inline QueryCount queries_with(Index documents, const char* call) {
  require(documents >= 1, call, ": documents must be at least 1, got ", documents);
  return {.documents = documents};
}

}  // namespace filigree::detail
