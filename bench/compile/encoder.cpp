// SPDX-License-Identifier: MIT
// An empty program.
#include <filigree/encoder/encoder.hpp>

int main() {}
