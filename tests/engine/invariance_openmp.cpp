// SPDX-License-Identifier: MIT
// The tests of invariance.cpp with OpenMP as the default executor.
#include "engine/invariance.cpp"
