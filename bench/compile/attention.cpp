// SPDX-License-Identifier: MIT
// An empty program.
#include <filigree/attention/attention.hpp>

int main() {}
