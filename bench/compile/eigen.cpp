// SPDX-License-Identifier: MIT
// The headers of Eigen that Filigree stands on: the unit of the other cases.
#include <Eigen/Dense>
#include <Eigen/SparseCore>

int main() {}
