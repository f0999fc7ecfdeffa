// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/coding/dictionary_learning.hpp"         // IWYU pragma: export
#include "filigree/coding/encode.hpp"                      // IWYU pragma: export
#include "filigree/coding/k_svd.hpp"                       // IWYU pragma: export
#include "filigree/coding/methods.hpp"                     // IWYU pragma: export
#include "filigree/coding/online_dictionary_learning.hpp"  // IWYU pragma: export
#include "filigree/coding/pursuit_layer.hpp"               // IWYU pragma: export
