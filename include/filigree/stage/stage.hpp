// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/stage/apply.hpp"           // IWYU pragma: export
#include "filigree/stage/apply_dense.hpp"     // IWYU pragma: export
#include "filigree/stage/category.hpp"        // IWYU pragma: export
#include "filigree/stage/derivative.hpp"      // IWYU pragma: export
#include "filigree/stage/pattern_traits.hpp"  // IWYU pragma: export
