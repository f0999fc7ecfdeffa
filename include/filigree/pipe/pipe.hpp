// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/pipe/pipeline.hpp"   // IWYU pragma: export
#include "filigree/pipe/product.hpp"    // IWYU pragma: export
#include "filigree/pipe/row.hpp"        // IWYU pragma: export
#include "filigree/pipe/row_list.hpp"   // IWYU pragma: export
#include "filigree/pipe/stage.hpp"      // IWYU pragma: export
#include "filigree/pipe/weights.hpp"    // IWYU pragma: export
#include "filigree/pipe/workspace.hpp"  // IWYU pragma: export
