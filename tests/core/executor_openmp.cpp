// SPDX-License-Identifier: MIT
// The same with OpenMP, which is then the default executor.
#include "core/executor.cpp"
