// SPDX-License-Identifier: MIT
#pragma once

#include <limits>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"
#include "filigree/select/soft_threshold.hpp"

namespace filigree {

/// Method of encode: proximal gradient steps with momentum for the lasso, for many samples at once.
///
/// A sample stops when its duality gap is at most tolerance · objective, and its momentum restarts when a step moves
/// against it.
/// Formula    c = argmin ½ ‖x − c D‖² + alpha ‖c‖₁
/// Cost       O(k²) per sample and iteration, as products of matrices
/// Reference  Beck and Teboulle, SIAM J. Imaging Sci. 2, 2009; O'Donoghue and Candès, arXiv:1204.3982, section 3.2
struct fista {
  double alpha = 1;             ///< weight of the l1 norm
  bool non_negative = false;    ///< keeps codes at least 0
  double tolerance = 1e-6;      ///< largest duality gap, relative to the objective
  Index max_iterations = 2000;  ///< steps after which a sample stops in any case
};

/// Method of encode: coordinate descent for the lasso on the atoms that violate the conditions of optimality, with
/// exact steps while the signs of the codes do not change.
///
/// A sample stops when its duality gap is at most tolerance · objective.
/// Formula    c = argmin ½ ‖x − c D‖² + alpha ‖c‖₁
/// Cost       O(k s) for each set of s atoms, and O(s²) for each sweep over it
/// Reference  Friedman et al., J. Stat. Softw. 33, 2010; Lee et al., NIPS 2006, for the exact steps
struct coordinate_descent {
  double alpha = 1;              ///< weight of the l1 norm
  bool non_negative = false;     ///< keeps codes at least 0
  double tolerance = 1e-6;       ///< largest duality gap, relative to the objective
  Index max_iterations = 10000;  ///< sweeps after which a sample stops in any case
};

/// Method of encode: orthogonal matching pursuit. Each step adds the atom with the largest |cosine| to the residual,
/// and fits the codes of all chosen atoms by least squares.
///
/// A sample stops after k atoms, when the norm of its residual is at most `tolerance`, or when no atom is left that is
/// independent of the chosen ones and not orthogonal to the residual.
/// Cost       O(k s² + s³) per sample with s chosen atoms, after a Gram matrix for all samples
/// Reference  Rubinstein et al., "Efficient implementation of the K-SVD algorithm using batch orthogonal matching
///            pursuit", Technion CS-2008-08, algorithm 3
struct omp {
  Index k = 0;           ///< largest number of atoms; 0: as many as the tolerance needs
  double tolerance = 0;  ///< norm of the residual that is small enough; below √ε ‖x‖ rounding decides
};

/// Method of encode: matching pursuit. Each step moves the code of the atom with the largest |cosine| to the residual.
///
/// Cost       O(k) per sample and step, after a Gram matrix for all samples
/// Reference  Mallat and Zhang, IEEE Trans. Signal Process. 41, 1993
struct matching_pursuit {
  Index k = 0;                ///< number of steps, hence the largest number of atoms; 0: as many as the tolerance needs
  double tolerance = 0;       ///< norm of the residual that is small enough; below √ε ‖x‖ rounding decides
  bool non_negative = false;  ///< only adds to codes
};

namespace detail {

template <class M>
concept LassoMethod = AnyOf<M, fista, coordinate_descent>;
template <class M>
concept PursuitMethod = AnyOf<M, omp, matching_pursuit>;

template <class M>
constexpr const char* method_name() {
  if constexpr (std::is_same_v<M, fista>) return "fista";
  if constexpr (std::is_same_v<M, coordinate_descent>) return "coordinate_descent";
  if constexpr (std::is_same_v<M, omp>) return "omp";
  return "matching_pursuit";
}

template <LassoMethod M>
void check_method(const M& m) {
  constexpr double largest = (std::numeric_limits<double>::max)();
  require(m.alpha >= 0 && m.alpha <= largest, method_name<M>(), "{.alpha}: alpha must be finite and at least 0, got ",
          m.alpha);
  require(m.tolerance >= 0 && m.tolerance < 1, method_name<M>(), "{.tolerance}: tolerance must be in [0, 1), got ",
          m.tolerance);
  require(m.max_iterations >= 0, method_name<M>(), "{.max_iterations}: max_iterations must be at least 0, got ",
          m.max_iterations);
}
template <PursuitMethod M>
void check_method(const M& m) {
  require(m.k >= 0, method_name<M>(), "{.k}: k must be at least 0, got ", m.k);
  require(m.tolerance >= 0, method_name<M>(), "{.tolerance}: tolerance must be at least 0, got ", m.tolerance);
  require(m.k > 0 || m.tolerance > 0, method_name<M>(), "{.k, .tolerance}: one of k and tolerance must be positive");
}
inline void check_method(const SoftThreshold&) {}

/// A method of encode.
template <class M>
concept CodingMethod = LassoMethod<M> || PursuitMethod<M> || std::is_same_v<M, SoftThreshold>;

/// The weight of the l1 norm in the objective of a method: 0 for pursuits.
template <CodingMethod M>
double l1_weight(const M& method) {
  if constexpr (LassoMethod<M>) return method.alpha;
  if constexpr (std::is_same_v<M, SoftThreshold>) return method.t;
  return 0;
}

}  // namespace detail
}  // namespace filigree
