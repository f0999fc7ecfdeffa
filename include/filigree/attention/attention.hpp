// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/attention/attend.hpp"            // IWYU pragma: export
#include "filigree/attention/block_scores.hpp"      // IWYU pragma: export
#include "filigree/attention/block_top_k.hpp"       // IWYU pragma: export
#include "filigree/attention/drop_smallest.hpp"     // IWYU pragma: export
#include "filigree/attention/forward.hpp"           // IWYU pragma: export
#include "filigree/attention/gradients.hpp"         // IWYU pragma: export
#include "filigree/attention/hashed_tokens.hpp"     // IWYU pragma: export
#include "filigree/attention/key_value_cache.hpp"   // IWYU pragma: export
#include "filigree/attention/lazy_sum.hpp"          // IWYU pragma: export
#include "filigree/attention/lsh.hpp"               // IWYU pragma: export
#include "filigree/attention/multi_head.hpp"        // IWYU pragma: export
#include "filigree/attention/multi_head_cache.hpp"  // IWYU pragma: export
#include "filigree/attention/packed_keys.hpp"       // IWYU pragma: export
#include "filigree/attention/prob_sparse.hpp"       // IWYU pragma: export
#include "filigree/attention/route.hpp"             // IWYU pragma: export
#include "filigree/attention/scores.hpp"            // IWYU pragma: export
#include "filigree/attention/selected.hpp"          // IWYU pragma: export
