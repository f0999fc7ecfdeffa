// SPDX-License-Identifier: MIT
#pragma once

// Includes all headers whose only dependency is Eigen.

#include "filigree/attention/attention.hpp"      // IWYU pragma: export
#include "filigree/coding/coding.hpp"            // IWYU pragma: export
#include "filigree/core/core.hpp"                // IWYU pragma: export
#include "filigree/encoder/encoder.hpp"          // IWYU pragma: export
#include "filigree/io/io.hpp"                    // IWYU pragma: export
#include "filigree/nn/nn.hpp"                    // IWYU pragma: export
#include "filigree/normalize/normalize.hpp"      // IWYU pragma: export
#include "filigree/pattern/pattern.hpp"          // IWYU pragma: export
#include "filigree/pipe/pipe.hpp"                // IWYU pragma: export
#include "filigree/recommend/recommend.hpp"      // IWYU pragma: export
#include "filigree/retrieval/retrieval.hpp"      // IWYU pragma: export
#include "filigree/score_map/score_map.hpp"      // IWYU pragma: export
#include "filigree/select/select.hpp"            // IWYU pragma: export
#include "filigree/transformer/transformer.hpp"  // IWYU pragma: export
