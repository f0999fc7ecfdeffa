// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/coding/encode.hpp"   // IWYU pragma: export
#include "filigree/coding/methods.hpp"  // IWYU pragma: export
