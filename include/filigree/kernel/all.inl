// SPDX-License-Identifier: MIT
// All kernels of one instruction set for one scalar type. The order of the files matters.

// clang-format off
#include "filigree/kernel/vector.inl"
#if FILIGREE_LEVEL == 512
#include "filigree/kernel/lanes_avx512.inl"
#elif FILIGREE_LEVEL == 2
#include "filigree/kernel/lanes_avx2.inl"
#else
#include "filigree/kernel/lanes_baseline.inl"
#endif
#include "filigree/kernel/widen.inl"
#include "filigree/kernel/exponential.inl"
#include "filigree/kernel/maps.inl"
#include "filigree/kernel/gather.inl"
#include "filigree/kernel/dots.inl"
#include "filigree/kernel/pack.inl"
#include "filigree/kernel/score_tile.inl"
#include "filigree/kernel/append.inl"
#include "filigree/kernel/multiply.inl"
#include "filigree/kernel/attend.inl"
#include "filigree/kernel/select.inl"
// clang-format on
