// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/score_map/alibi.hpp"          // IWYU pragma: export
#include "filigree/score_map/bias.hpp"           // IWYU pragma: export
#include "filigree/score_map/gelu.hpp"           // IWYU pragma: export
#include "filigree/score_map/log1p_relu.hpp"     // IWYU pragma: export
#include "filigree/score_map/map.hpp"            // IWYU pragma: export
#include "filigree/score_map/relative_bias.hpp"  // IWYU pragma: export
#include "filigree/score_map/sigmoid.hpp"        // IWYU pragma: export
#include "filigree/score_map/silu.hpp"           // IWYU pragma: export
#include "filigree/score_map/softcap.hpp"        // IWYU pragma: export
#include "filigree/score_map/tanh.hpp"           // IWYU pragma: export
