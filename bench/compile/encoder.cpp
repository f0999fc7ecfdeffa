// SPDX-License-Identifier: MIT
// An empty program that includes encoder/encoder.hpp.
#include <filigree/encoder/encoder.hpp>

int main() {}
