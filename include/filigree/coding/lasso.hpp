// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "filigree/coding/gram.hpp"
#include "filigree/coding/methods.hpp"
#include "filigree/core/scratch.hpp"
#include "filigree/kernel/kernels.hpp"

namespace filigree::detail {

/// The lasso of one sample: min ½ ‖x − c D‖² + alpha ‖c‖₁.
struct LassoTerms {
  double alpha, squares;  // squares: ‖x‖²
  bool non_negative;

  /// The objective and its duality gap at codes c with correlations h = D r of the residual r.
  ///
  /// The dual point is r scaled by s = min(1, alpha / max |h|), or max h for codes of at least 0. With ‖r‖² = ‖x‖² −
  /// c·b − c·h and r·x = ‖x‖² − c·b for b = D x, the dual objective is s r·x − ½ s² ‖r‖².
  struct Gap {
    double objective, gap;
  };
  [[nodiscard]] Gap gap(double with_products /* c·b */, double with_correlations /* c·h */, double l1,
                        double largest) const {
    const double residual = (std::max)(squares - with_products - with_correlations, 0.0);
    const double scale = largest > alpha ? alpha / largest : 1.0;
    const double objective = 0.5 * residual + alpha * l1;
    return {objective, objective - (scale * (squares - with_products) - 0.5 * scale * scale * residual)};
  }
  /// Minimizes over one code: z is its correlation without it.
  template <Real S>
  [[nodiscard]] S shrink(S z) const {
    const S a = static_cast<S>(alpha);
    if (z > a) return z - a;
    return z < -a && !non_negative ? z + a : S(0);
  }
  /// The excess of a correlation decides whether a code of 0 may stay 0.
  template <Real S>
  [[nodiscard]] S size(S h) const {
    return non_negative ? h : std::abs(h);
  }
};

/// Coordinate descent for one sample. It keeps a set of atoms with a Gram matrix of its own. Sweeps change only the
/// codes of the set; atoms outside that violate |h| <= alpha join it when the set is solved.
template <Real S>
class LassoSet {
 public:
  LassoSet(const coordinate_descent& method, const Gram<S>& gram, const CodedSample<S>& sample, ScratchFrame& frame)
      : terms_{method.alpha, sample.squares, method.non_negative},
        method_(method),
        gram_(gram),
        sample_(sample),
        capacity_(gram.count()),
        h_(frame.take<S>(gram.stride())),
        member_(frame.take<char>(gram.count())),
        columns_(frame.take<kernel::Column>(capacity_)),
        codes_(frame.take<S>(capacity_)),
        local_(frame.take<S>(capacity_)),
        target_(frame.take<double>(capacity_)),
        weights_(frame.take<S>(capacity_)) {
    std::fill_n(member_, capacity_, char(0));
    for (Index i = 0; i < sample.start_count; ++i)
      if (sample.start_values[i] != 0 && !(terms_.non_negative && sample.start_values[i] < 0))
        join(sample.start_columns[i], sample.start_values[i]);
    double largest = 0;
    for (Index j = 0; j < capacity_; ++j) {
      const auto b = static_cast<double>(terms_.size(sample.correlations[j]));
      if (b > largest) largest = b;
    }
    const double epsilon = static_cast<double>(std::numeric_limits<S>::epsilon());
    // A correlation within the rounding errors of the bound does not violate it. Without a bound, the tolerance
    // decides.
    const double rounding = 16 * epsilon * largest;
    bound_ =
        static_cast<S>(method.alpha + (method.alpha > 0 ? rounding : (std::max)(rounding, method.tolerance * largest)));
    still_ = epsilon * std::sqrt(sample.squares);
    tolerance_ = method.tolerance;
  }

  void run(ScratchFrame& frame, CodeRow<S>& out) {
    S* products = nullptr;
    double* factor = nullptr;
    Index room = 0;
    for (;;) {
      update_correlations();
      if (complete()) break;
      const Index before = count_;
      add_violations();
      if (count_ == 0 || (count_ == before && exact_) || sweeps_ >= method_.max_iterations) break;
      if (count_ > room) {
        room = (std::min)(capacity_, 2 * count_ + 8);
        products = frame.take<S>(room * room);
        factor = frame.take<double>(room * room);
      }
      solve(products, factor);
      drop_zeros();
    }
    order(out);
  }

 private:
  void join(Index j, S code) {
    member_[j] = 1;
    columns_[count_] = static_cast<kernel::Column>(j);
    codes_[count_++] = code;
  }

  /// Computes h = b − G c for all atoms.
  void update_correlations() {
    std::copy_n(sample_.correlations, gram_.stride(), h_);
    for (Index i = 0; i < count_; ++i) weights_[i] = -codes_[i];
    kernel::kernels<S>().gather(h_, weights_, columns_, count_, gram_.products(), gram_.stride(), gram_.stride(), true);
  }

  /// Returns true if the duality gap is small enough, by correlations of all atoms.
  [[nodiscard]] bool complete() const {
    double largest = 0;
    for (Index j = 0; j < capacity_; ++j) largest = (std::max)(largest, static_cast<double>(terms_.size(h_[j])));
    if (terms_.alpha == 0) return largest <= static_cast<double>(bound_);
    double products = 0, correlations = 0, l1 = 0;
    for (Index i = 0; i < count_; ++i) {
      const auto c = static_cast<double>(codes_[i]);
      products += c * static_cast<double>(sample_.correlations[columns_[i]]);
      correlations += c * static_cast<double>(h_[columns_[i]]);
      l1 += std::abs(c);
    }
    const auto [objective, gap] = terms_.gap(products, correlations, l1, largest);
    return gap <= tolerance_ * objective;
  }

  /// Adds the atoms that violate the bound most: at least half as much as the worst one.
  void add_violations() {
    S worst = bound_;
    for (Index j = 0; j < capacity_; ++j)
      if (member_[j] == 0) worst = (std::max)(worst, terms_.size(h_[j]));
    const S least = bound_ + (worst - bound_) / 2;
    if (!(worst > bound_)) return;
    for (Index j = 0; j < capacity_; ++j)
      if (member_[j] == 0 && terms_.size(h_[j]) > bound_ && terms_.size(h_[j]) >= least) join(j, S(0));
  }

  void drop_zeros() {
    Index kept = 0;
    for (Index i = 0; i < count_; ++i) {
      if (codes_[i] == 0) {
        member_[columns_[i]] = 0;
        continue;
      }
      columns_[kept] = columns_[i];
      codes_[kept++] = codes_[i];
    }
    count_ = kept;
  }

  /// Minimizes over the codes of the set.
  void solve(S* products, double* factor) {
    for (Index i = 0; i < count_; ++i) {
      for (Index l = 0; l < count_; ++l) products[i * count_ + l] = gram_.row(columns_[i])[columns_[l]];
      local_[i] = h_[columns_[i]];
    }
    exact_ = false;
    Step step = Step::none;
    for (Index sweep = 0; sweeps_ < method_.max_iterations; ++sweep) {
      ++sweeps_;
      const Change change = sweep_once(products);
      // After an exact step, a sweep without new signs changes codes by rounding errors only.
      exact_ = change.size <= still_ || (step == Step::exact && !change.signs);
      if (exact_) break;
      step = !change.signs && sweep > 0 ? step_exactly(products, factor) : Step::none;
      if (step != Step::none) restore(products);
      if (step != Step::exact && sweep % 4 == 3 && set_is_complete()) break;
    }
  }

  enum class Step { none, partial, exact };
  struct Change {
    double size;
    bool signs;
  };
  /// Minimizes over each code of the set in turn.
  Change sweep_once(const S* products) {
    Change change = {0, false};
    for (Index i = 0; i < count_; ++i) {
      const S old = codes_[i], square = products[i * count_ + i], inverse = gram_.inverse_diagonal(columns_[i]);
      const S next = terms_.shrink(local_[i] + square * old) * inverse, step = next - old;
      if (step == 0) continue;
      change.size =
          (std::max)(change.size, std::abs(static_cast<double>(step)) * std::sqrt(static_cast<double>(square)));
      change.signs |= (next > 0) != (old > 0) || (next < 0) != (old < 0);
      codes_[i] = next;
      const S* row = products + i * count_;
      for (Index l = 0; l < count_; ++l) local_[l] -= step * row[l];
    }
    return change;
  }

  /// Moves toward the minimum over the codes that differ from 0, with their signs: all the way, or to the point where
  /// the first code becomes 0. The objective decreases, because it is convex there. Does nothing if the minimum is not
  /// unique.
  Step step_exactly(const S* products, double* factor) {
    Index size = 0;
    for (Index i = 0; i < count_; ++i) {
      if (codes_[i] == 0) continue;
      const double sign = codes_[i] > 0 ? 1 : -1;
      double* row = factor + size * count_;
      double pivot = static_cast<double>(products[i * count_ + i]);
      double sum = static_cast<double>(sample_.correlations[columns_[i]]) - terms_.alpha * sign;
      for (Index l = 0, at = 0; l < i; ++l) {
        if (codes_[l] == 0) continue;
        const double* other = factor + at * count_;
        double entry = static_cast<double>(products[i * count_ + l]);
        for (Index f = 0; f < at; ++f) entry -= row[f] * other[f];
        entry /= other[at];
        row[at] = entry;
        pivot -= entry * entry;
        sum -= entry * target_[at++];
      }
      const double square = static_cast<double>(products[i * count_ + i]);
      if (!(pivot > 256 * static_cast<double>(std::numeric_limits<S>::epsilon()) * square))
        return drop_dependent(i, size, factor);
      row[size] = std::sqrt(pivot);
      target_[size] = sum / row[size];
      ++size;
    }
    for (Index i = size - 1; i >= 0; --i) {
      double sum = target_[i];
      for (Index l = i + 1; l < size; ++l) sum -= factor[l * count_ + i] * target_[l];
      target_[i] = sum / factor[i * count_ + i];
    }
    double part = 1;
    Index at = 0, first_zero = -1;
    for (Index i = 0; i < count_; ++i) {
      if (codes_[i] == 0) continue;
      const double c = static_cast<double>(codes_[i]), to = target_[at++];
      if ((c > 0 ? to > 0 : to < 0) || c == to) continue;
      if (const double t = c / (c - to); t < part) {
        part = t;
        first_zero = i;
      }
    }
    at = 0;
    for (Index i = 0; i < count_; ++i) {
      if (codes_[i] == 0) continue;
      const double c = static_cast<double>(codes_[i]), to = target_[at++];
      const S next = part == 1 ? static_cast<S>(to) : static_cast<S>(c + part * (to - c));
      codes_[i] = i == first_zero || (next > 0) != (c > 0) ? S(0) : next;
    }
    return part == 1 ? Step::exact : Step::partial;
  }

  /// The code i that differs from 0 is of an atom in the span of those before it. Moves along the combination of these
  /// atoms that is 0, in the direction in which the l1 norm decreases, until a code becomes 0.
  Step drop_dependent(Index i, Index size, const double* factor) {
    for (Index at = size - 1; at >= 0; --at) {
      double sum = -factor[size * count_ + at];
      for (Index l = at + 1; l < size; ++l) sum -= factor[l * count_ + at] * target_[l];
      target_[at] = sum / factor[at * count_ + at];
    }
    target_[size] = 1;
    double slope = 0;
    for (Index l = 0, at = 0; l <= i; ++l)
      if (codes_[l] != 0) slope += codes_[l] > 0 ? target_[at++] : -target_[at++];
    const double direction = slope > 0 ? -1 : 1;
    double part = std::numeric_limits<double>::infinity();
    Index first_zero = -1;
    for (Index l = 0, at = 0; l <= i; ++l) {
      if (codes_[l] == 0) continue;
      const double t = -static_cast<double>(codes_[l]) / (direction * target_[at++]);
      if (!(t > 0 && t < part)) continue;
      part = t;
      first_zero = l;
    }
    if (first_zero < 0) return Step::none;
    for (Index l = 0, at = 0; l <= i; ++l) {
      if (codes_[l] == 0) continue;
      const double c = static_cast<double>(codes_[l]);
      const S next = static_cast<S>(c + part * direction * target_[at++]);
      codes_[l] = l == first_zero || (next > 0) != (c > 0) ? S(0) : next;
    }
    return Step::partial;
  }

  /// Computes the correlations of the set again.
  void restore(const S* products) {
    for (Index i = 0; i < count_; ++i) {
      double sum = static_cast<double>(sample_.correlations[columns_[i]]);
      for (Index l = 0; l < count_; ++l)
        sum -= static_cast<double>(products[i * count_ + l]) * static_cast<double>(codes_[l]);
      local_[i] = static_cast<S>(sum);
    }
  }

  /// Returns true if the gap is small enough, if there were only the atoms of the set.
  [[nodiscard]] bool set_is_complete() const {
    if (terms_.alpha == 0) return false;
    double products = 0, correlations = 0, l1 = 0, largest = 0;
    for (Index i = 0; i < count_; ++i) {
      const auto c = static_cast<double>(codes_[i]);
      products += c * static_cast<double>(sample_.correlations[columns_[i]]);
      correlations += c * static_cast<double>(local_[i]);
      l1 += std::abs(c);
      largest = (std::max)(largest, static_cast<double>(terms_.size(local_[i])));
    }
    const auto [objective, gap] = terms_.gap(products, correlations, l1, largest);
    return gap <= 0.25 * tolerance_ * objective;
  }

  void order(CodeRow<S>& out) const {
    out.count = 0;
    for (Index i = 0; i < count_; ++i) {
      Index at = out.count++;
      for (; at > 0 && out.columns[at - 1] > columns_[i]; --at) {
        out.columns[at] = out.columns[at - 1];
        out.values[at] = out.values[at - 1];
      }
      out.columns[at] = columns_[i];
      out.values[at] = codes_[i];
    }
  }

  LassoTerms terms_;
  const coordinate_descent& method_;
  const Gram<S>& gram_;
  const CodedSample<S>& sample_;
  Index capacity_, count_ = 0, sweeps_ = 0;
  S* h_;
  char* member_;
  kernel::Column* columns_;
  S *codes_, *local_;
  double* target_;
  S* weights_;
  S bound_;
  double still_, tolerance_;
  bool exact_ = false;
};

/// Codes one sample by coordinate descent.
template <Real S>
void code_sample(const coordinate_descent& method, const Gram<S>& gram, const CodedSample<S>& sample,
                 ScratchFrame& frame, CodeRow<S>& out) {
  LassoSet<S>(method, gram, sample, frame).run(frame, out);
}

}  // namespace filigree::detail
