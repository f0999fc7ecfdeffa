// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/weigh/alibi.hpp"          // IWYU pragma: export
#include "filigree/weigh/bias.hpp"           // IWYU pragma: export
#include "filigree/weigh/dropout.hpp"        // IWYU pragma: export
#include "filigree/weigh/entmax.hpp"         // IWYU pragma: export
#include "filigree/weigh/entmax15.hpp"       // IWYU pragma: export
#include "filigree/weigh/map.hpp"            // IWYU pragma: export
#include "filigree/weigh/normalize_sum.hpp"  // IWYU pragma: export
#include "filigree/weigh/relative_bias.hpp"  // IWYU pragma: export
#include "filigree/weigh/softcap.hpp"        // IWYU pragma: export
#include "filigree/weigh/softmax.hpp"        // IWYU pragma: export
#include "filigree/weigh/sparsemax.hpp"      // IWYU pragma: export
