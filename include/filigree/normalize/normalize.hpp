// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/normalize/dropout.hpp"        // IWYU pragma: export
#include "filigree/normalize/entmax.hpp"         // IWYU pragma: export
#include "filigree/normalize/entmax15.hpp"       // IWYU pragma: export
#include "filigree/normalize/normalize_sum.hpp"  // IWYU pragma: export
#include "filigree/normalize/softmax.hpp"        // IWYU pragma: export
#include "filigree/normalize/sparsemax.hpp"      // IWYU pragma: export
