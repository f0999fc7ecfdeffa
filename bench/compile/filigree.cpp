// SPDX-License-Identifier: MIT
// An empty program that includes filigree.hpp.
#include <filigree/filigree.hpp>

int main() {}
