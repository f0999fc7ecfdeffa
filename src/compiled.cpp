// SPDX-License-Identifier: MIT
// The kernels of filigree::compiled.
#define FILIGREE_COMPILED_SOURCE
#include "filigree/kernel/kernels.hpp"
