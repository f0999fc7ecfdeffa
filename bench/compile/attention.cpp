// SPDX-License-Identifier: MIT
// An empty program that includes attention/attention.hpp.
#include <filigree/attention/attention.hpp>

int main() {}
