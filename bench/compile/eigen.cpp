// SPDX-License-Identifier: MIT
// The headers of Eigen that Filigree includes: the unit for the times of the other cases.
#include <Eigen/Dense>
#include <Eigen/SparseCore>

int main() {}
