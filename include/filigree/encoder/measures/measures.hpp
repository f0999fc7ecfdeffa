// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/encoder/measures/dead_latents.hpp"        // IWYU pragma: export
#include "filigree/encoder/measures/density.hpp"             // IWYU pragma: export
#include "filigree/encoder/measures/explained_variance.hpp"  // IWYU pragma: export
#include "filigree/encoder/measures/gini.hpp"                // IWYU pragma: export
#include "filigree/encoder/measures/hoyer.hpp"               // IWYU pragma: export
#include "filigree/encoder/measures/l0.hpp"                  // IWYU pragma: export
#include "filigree/encoder/measures/mcc.hpp"                 // IWYU pragma: export
#include "filigree/encoder/measures/normalized_mse.hpp"      // IWYU pragma: export
#include "filigree/encoder/measures/psnr.hpp"                // IWYU pragma: export
#include "filigree/encoder/measures/treves_rolls.hpp"        // IWYU pragma: export
