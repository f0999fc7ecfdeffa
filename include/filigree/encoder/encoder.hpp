// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/encoder/autoencoder.hpp"        // IWYU pragma: export
#include "filigree/encoder/calibrate.hpp"          // IWYU pragma: export
#include "filigree/encoder/gemma_scope.hpp"        // IWYU pragma: export
#include "filigree/encoder/measures/measures.hpp"  // IWYU pragma: export
#include "filigree/encoder/resample.hpp"           // IWYU pragma: export
#include "filigree/encoder/sae_weights.hpp"        // IWYU pragma: export
#include "filigree/encoder/start.hpp"              // IWYU pragma: export
