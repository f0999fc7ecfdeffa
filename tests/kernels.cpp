// SPDX-License-Identifier: MIT
// The kernels, once for all tests.
#include "filigree/kernel/kernels.hpp"
