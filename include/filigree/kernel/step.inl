// SPDX-License-Identifier: MIT
// Steps of optimizers: one pass over the parameters, their gradients and their moments. Each operation rounds once, in
// the rounding mode of the caller, so results do not depend on the instruction set.

// Returns moments, with 0 for denormal ones.
[[gnu::always_inline]] static inline Vec flush_denormals(const Vec& x) {
  return absolute(x) < broadcast(smallest_normal) ? Vec{} : x;
}

static void sgd_step(Scalar* values, const Scalar* gradient, Scalar* moments, Index count, SgdStep<Scalar> step) {
  const Vec size = broadcast(step.size), decay = broadcast(step.momentum);
  if (step.momentum == Scalar(0)) {
    for_vectors(count, [&](Index i, const auto& at) {
      const Vec moment = flush_denormals(at.load(gradient + i) + Vec{});
      at.store(values + i, at.load(values + i) - rounded(size * moment));
    });
  } else if (step.nesterov) {
    for_vectors(count, [&](Index i, const auto& at) {
      const Vec g = at.load(gradient + i), moment = flush_denormals(rounded(decay * at.load(moments + i)) + g);
      at.store(moments + i, moment);
      at.store(values + i, at.load(values + i) - rounded(size * (g + rounded(decay * moment))));
    });
  } else {
    for_vectors(count, [&](Index i, const auto& at) {
      const Vec moment = flush_denormals(rounded(decay * at.load(moments + i)) + at.load(gradient + i));
      at.store(moments + i, moment);
      at.store(values + i, at.load(values + i) - rounded(size * moment));
    });
  }
}

// `squares` are the running means of the squares, `max_squares` the largest of them so far; null without amsgrad.
template <bool with_max>
static void adam_step_of(Scalar* values, const Scalar* gradient, Scalar* means, Scalar* squares, Scalar* max_squares,
                         Index count, const AdamStep<Scalar>& step) {
  const Vec b1 = broadcast(step.beta1), b2 = broadcast(step.beta2), c1 = broadcast(step.rest1);
  const Vec c2 = broadcast(step.rest2), root = broadcast(step.root), epsilon = broadcast(step.epsilon);
  const Vec size = broadcast(step.size), shrink = broadcast(step.shrink);
  for_vectors(count, [&](Index i, const auto& at) {
    const Vec g = at.load(gradient + i);
    const Vec mean = flush_denormals(rounded(b1 * at.load(means + i)) + rounded(c1 * g));
    Vec square = flush_denormals(rounded(b2 * at.load(squares + i)) + rounded(rounded(c2 * g) * g));
    at.store(means + i, mean);
    at.store(squares + i, square);
    if constexpr (with_max) {
      const Vec before = at.load(max_squares + i);
      square = before < square ? square : before;
      at.store(max_squares + i, square);
    }
    const Vec value = rounded(shrink * at.load(values + i));
    at.store(values + i, value - size * mean / (square_root(square) / root + epsilon));
  });
}
static void adam_step(Scalar* values, const Scalar* gradient, Scalar* means, Scalar* squares, Scalar* max_squares,
                      Index count, const AdamStep<Scalar>& step) {
  if (max_squares != nullptr)
    adam_step_of<true>(values, gradient, means, squares, max_squares, count, step);
  else
    adam_step_of<false>(values, gradient, means, squares, nullptr, count, step);
}

// Steps along the gradient, then moves each value towards 0 by `bound`; a value within the bound becomes 0, NaN stays.
static void proximal_step(Scalar* values, const Scalar* gradient, Index count, Scalar size, Scalar bound) {
  for_vectors(count, [&](Index i, const auto& at) {
    const Vec x = at.load(values + i) - rounded(broadcast(size) * at.load(gradient + i));
    at.store(values + i, absolute(x) <= broadcast(bound) ? Vec{} : x - with_sign_of(broadcast(bound), x));
  });
}
