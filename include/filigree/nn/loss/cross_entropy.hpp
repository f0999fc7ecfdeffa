// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <string>

#include "filigree/nn/term.hpp"

namespace filigree {

/// Options of cross_entropy().
struct cross_entropy_options {
  double label_smoothing = 0;  ///< fraction of a target that is spread evenly over all classes
  Index ignored_class = -1;    ///< samples of this class are ignored, such as padding; -1: none
};

/// A loss: the cross entropy of outputs and targets.
struct CrossEntropy {
  using Kind = Loss;
  bool counts;  // targets are counts instead of probabilities
  double label_smoothing = 0;
  Index ignored_class = -1;
  bool by_sample = ignored_class < 0;  // else the mean depends on the number of samples that are not ignored

  template <Real S>
  double add(const detail::ConstRows<S>& y, const detail::ConstRows<S>& target, double factor, S* gradient,
             const detail::Session& session) const {
    const Index n = y.rows(), cols = y.cols();
    if (n == 0 || cols == 0) return 0;
    const Index used = n - ignored(target);
    if (used == 0) return 0;
    const double scale = factor / static_cast<double>(used), smoothing = label_smoothing / static_cast<double>(cols);
    return scale * detail::sum_over_rows(n, session, [&](Index i) {
             if (ignores(target, i)) return 0.0;
             const auto top = static_cast<double>(y.row(i).template maxCoeff<Eigen::PropagateNaN>());
             double exps = 0, targets = 0, products = 0;
             for (Index j = 0; j < cols; ++j) {
               const double s = static_cast<double>(y(i, j)) - top;
               exps += std::exp(s);
               detail::require(!(target(i, j) < 0), name(), ": a target must be at least 0; that of output ", j, " is ",
                               static_cast<double>(target(i, j)));
               targets += static_cast<double>(target(i, j));
               const double t = smooth(target(i, j), smoothing);
               if (t != 0) products += t * s;
             }
             detail::require(counts || !(std::abs(targets - 1) > 1e-3), name(),
                             ": the targets of a sample must be probabilities, whose sum is 1; it is ", targets,
                             ". multinomial() takes counts");
             const double total = (1 - label_smoothing) * targets + label_smoothing;
             for (Index j = 0; j < cols && gradient != nullptr; ++j) {
               const double p = std::exp(static_cast<double>(y(i, j)) - top) / exps;
               gradient[i * cols + j] += static_cast<S>(scale * (total * p - smooth(target(i, j), smoothing)));
             }
             return total * std::log(exps) - products;
           });
  }

  // Returns the name in a checkpoint.
  [[nodiscard]] std::string text() const {
    return name() + (ignored_class < 0 ? "" : " without class " + std::to_string(ignored_class));
  }

 private:
  [[nodiscard]] std::string name() const { return counts ? "multinomial()" : "cross_entropy()"; }
  template <Real S>
  [[nodiscard]] double smooth(S target, double smoothing) const {
    return (1 - label_smoothing) * static_cast<double>(target) + smoothing;
  }
  template <Real S>
  [[nodiscard]] bool ignores(const detail::ConstRows<S>& target, Index i) const {
    return ignored_class >= 0 && target(i, ignored_class) != 0;
  }
  /// Returns the number of ignored samples.
  template <Real S>
  [[nodiscard]] Index ignored(const detail::ConstRows<S>& target) const {
    Index count = 0;
    detail::require(ignored_class < target.cols(), "cross_entropy({.ignored_class}): must be one of the ",
                    target.cols(), " classes, got ", ignored_class);
    for (Index i = 0; i < target.rows() && ignored_class >= 0; ++i) {
      const S t = target(i, ignored_class);
      detail::require(
          t == 0 || t == 1,
          "cross_entropy({.ignored_class}): the target of the ignored class must be 0 or 1; that of sample ", i, " is ",
          static_cast<double>(t));
      count += t != 0 ? 1 : 0;
    }
    return count;
  }
};

/// Measures the cross entropy of targets t, probabilities of classes, and the softmax of the outputs y.
///
/// With label_smoothing e and C classes, t_j becomes (1 − e) t_j + e / C.
/// Formula    mean of −Σ t_j ln softmax(y)_j
/// Edge case  if all samples are ignored, the loss is 0
/// Throws     Error if label_smoothing is not from 0 to 1 or ignored_class is below -1; in training, if a target is
///            below 0, the targets of a sample do not sum to 1 within 0.001, or ignored_class is not a class
/// Reference  label smoothing: Szegedy et al., arXiv:1512.00567, section 7; torch.nn.CrossEntropyLoss
inline CrossEntropy cross_entropy(const cross_entropy_options& options = {}) {
  detail::require(options.label_smoothing >= 0 && options.label_smoothing <= 1,
                  "cross_entropy({.label_smoothing}): must be from 0 to 1, got ", options.label_smoothing);
  detail::require(options.ignored_class >= -1, "cross_entropy({.ignored_class}): must be a class, or -1 for none, got ",
                  options.ignored_class);
  return {.counts = false, .label_smoothing = options.label_smoothing, .ignored_class = options.ignored_class};
}

/// Measures the cross entropy of targets that are counts, such as of words or clicks.
///
/// It is the negative log-likelihood of a multinomial distribution without the term that depends only on the counts.
/// Formula    mean of −Σ t_j ln softmax(y)_j
/// Throws     Error in training, if a target is below 0
/// Reference  Liang et al., arXiv:1802.05814, equation 2
inline CrossEntropy multinomial() { return {.counts = true}; }

}  // namespace filigree
