// SPDX-License-Identifier: MIT
#include <filigree/coding/coding.hpp>

#include "catch.hpp"
#include "parity/fixture.hpp"

namespace fg = filigree;
using parity::Fixture;
using Matrix = parity::Matrix<double>;

TEST_CASE("sparse coding agrees with scikit-learn") {
  const Fixture reference("sparse_coding");
  const Matrix x = reference.matrix<double>("samples"), atoms = reference.matrix<double>("dictionary");
  const auto check = [&](const char* name, const Matrix& codes, double tolerance) {
    CAPTURE(name);
    CHECK(parity::deviation(codes, reference.matrix<double>(name)) <= tolerance);
  };
  const fg::coordinate_descent descent{.alpha = 0.3, .tolerance = 1e-14};
  check("lasso_cd", fg::encode(x, atoms, descent), 1e-6);
  check("lasso_lars", fg::encode(x, atoms, descent), 1e-6);
  check("lasso_cd", fg::encode(x, atoms, fg::fista{.alpha = 0.3, .tolerance = 1e-15}), 1e-6);
  check("lasso_positive",
        fg::encode(x, atoms, fg::coordinate_descent{.alpha = 0.3, .non_negative = true, .tolerance = 1e-14}), 1e-6);
  check("lasso_positive", fg::encode(x, atoms, fg::fista{.alpha = 0.3, .non_negative = true, .tolerance = 1e-15}),
        1e-6);
  check("omp", fg::encode(x, atoms, fg::omp{.k = 4}), 1e-10);
  check("omp_tolerance", fg::encode(x, atoms, fg::omp{.tolerance = 1}), 1e-10);
  check("threshold", fg::encode(x, atoms, fg::soft_threshold(0.3)), 1e-10);
}

TEST_CASE("the update of atoms agrees with scikit-learn") {
  const Fixture reference("sparse_coding");
  Matrix atoms = reference.matrix<double>("dictionary");
  const Eigen::SparseMatrix<double, Eigen::RowMajor> codes = reference.matrix<double>("lasso_cd").sparseView();
  fg::update_atoms(atoms, codes, reference.matrix<double>("samples"));
  atoms.rowwise().normalize();
  CHECK(parity::deviation(atoms, reference.matrix<double>("atoms")) <= 1e-10);
}
