// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/pipe/product.hpp"        // IWYU pragma: export
#include "filigree/pipe/weights.hpp"        // IWYU pragma: export
#include "filigree/run/row_tape.hpp"        // IWYU pragma: export
#include "filigree/run/workspace.hpp"       // IWYU pragma: export
#include "filigree/stage/dense_matrix.hpp"  // IWYU pragma: export
#include "filigree/stage/pipeline.hpp"      // IWYU pragma: export
#include "filigree/stage/row.hpp"           // IWYU pragma: export
#include "filigree/stage/stage.hpp"         // IWYU pragma: export
