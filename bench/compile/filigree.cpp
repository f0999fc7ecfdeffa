// SPDX-License-Identifier: MIT
// An empty program.
#include <filigree/filigree.hpp>

int main() {}
