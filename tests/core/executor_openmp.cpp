// SPDX-License-Identifier: MIT
// Runs the executor tests with OpenMP, which is then the default executor.
#include "core/executor.cpp"
