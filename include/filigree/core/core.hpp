// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/core/cache.hpp"        // IWYU pragma: export
#include "filigree/core/check.hpp"        // IWYU pragma: export
#include "filigree/core/concepts.hpp"     // IWYU pragma: export
#include "filigree/core/executor.hpp"     // IWYU pragma: export
#include "filigree/core/generator.hpp"    // IWYU pragma: export
#include "filigree/core/integers.hpp"     // IWYU pragma: export
#include "filigree/core/lazy.hpp"         // IWYU pragma: export
#include "filigree/core/operand.hpp"      // IWYU pragma: export
#include "filigree/core/thread_pool.hpp"  // IWYU pragma: export
