// SPDX-License-Identifier: MIT
// The score kernel of NEON alone, for check.sh, which reads its disassembly.
#include <filigree/kernel/kernels.hpp>

using filigree::kernel::Index;
using filigree::kernel::neon::Level;

// The numbers that check.sh expects.
static_assert(Level<float>::sizes.queries == 6 && Level<float>::sizes.vectors == 4);

template <class S>
void score(const S* q, Index groups, const S* k, Index d, S* out, Index stride) {
  Level<S>::score_panel(q, groups, k, d, S(0.125), out, stride);
}
template void score(const float*, Index, const float*, Index, float*, Index);
template void score(const double*, Index, const double*, Index, double*, Index);
