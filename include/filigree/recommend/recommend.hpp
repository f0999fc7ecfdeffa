// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/recommend/ease.hpp"             // IWYU pragma: export
#include "filigree/recommend/recommendations.hpp"  // IWYU pragma: export
#include "filigree/recommend/slim.hpp"             // IWYU pragma: export
