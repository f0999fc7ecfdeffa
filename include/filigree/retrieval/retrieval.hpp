// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/retrieval/bm25.hpp"           // IWYU pragma: export
#include "filigree/retrieval/measures.hpp"       // IWYU pragma: export
#include "filigree/retrieval/sparse_index.hpp"   // IWYU pragma: export
#include "filigree/retrieval/sparse_scores.hpp"  // IWYU pragma: export
