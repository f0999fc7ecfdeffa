// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/select/batch_top_k.hpp"      // IWYU pragma: export
#include "filigree/select/drop_lowest.hpp"      // IWYU pragma: export
#include "filigree/select/hard_threshold.hpp"   // IWYU pragma: export
#include "filigree/select/prune_magnitude.hpp"  // IWYU pragma: export
#include "filigree/select/prune_n_m.hpp"        // IWYU pragma: export
#include "filigree/select/soft_threshold.hpp"   // IWYU pragma: export
#include "filigree/select/threshold.hpp"        // IWYU pragma: export
#include "filigree/select/top_k.hpp"            // IWYU pragma: export
#include "filigree/select/top_p.hpp"            // IWYU pragma: export
#include "filigree/select/winner_take_all.hpp"  // IWYU pragma: export
