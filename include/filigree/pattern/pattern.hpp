// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/pattern/algebra.hpp"         // IWYU pragma: export
#include "filigree/pattern/blocks.hpp"          // IWYU pragma: export
#include "filigree/pattern/causal.hpp"          // IWYU pragma: export
#include "filigree/pattern/columns.hpp"         // IWYU pragma: export
#include "filigree/pattern/describe.hpp"        // IWYU pragma: export
#include "filigree/pattern/dilated_window.hpp"  // IWYU pragma: export
#include "filigree/pattern/documents.hpp"       // IWYU pragma: export
#include "filigree/pattern/first.hpp"           // IWYU pragma: export
#include "filigree/pattern/given.hpp"           // IWYU pragma: export
#include "filigree/pattern/given_mask.hpp"      // IWYU pragma: export
#include "filigree/pattern/global.hpp"          // IWYU pragma: export
#include "filigree/pattern/named.hpp"           // IWYU pragma: export
#include "filigree/pattern/neighborhood.hpp"    // IWYU pragma: export
#include "filigree/pattern/plan.hpp"            // IWYU pragma: export
#include "filigree/pattern/random.hpp"          // IWYU pragma: export
#include "filigree/pattern/same_block.hpp"      // IWYU pragma: export
#include "filigree/pattern/strided.hpp"         // IWYU pragma: export
#include "filigree/pattern/tile_plan.hpp"       // IWYU pragma: export
#include "filigree/pattern/verify.hpp"          // IWYU pragma: export
#include "filigree/pattern/where.hpp"           // IWYU pragma: export
#include "filigree/pattern/window.hpp"          // IWYU pragma: export
