// SPDX-License-Identifier: MIT
// Instantiates the kernels for the library filigree::compiled.
#define FILIGREE_COMPILED_SOURCE
#include "filigree/kernel/kernels.hpp"
