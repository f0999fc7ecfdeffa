// SPDX-License-Identifier: MIT
// All kernels of one level for one scalar type, after vector.inl and the file that defines the level. The order of the
// files matters.

// clang-format off
#include "filigree/kernel/widen.inl"
#include "filigree/kernel/narrow.inl"
#include "filigree/kernel/exponential.inl"
#include "filigree/kernel/maps.inl"
#include "filigree/kernel/elementwise.inl"
#include "filigree/kernel/add.inl"
#include "filigree/kernel/gather.inl"
#include "filigree/kernel/dots.inl"
#include "filigree/kernel/pack.inl"
#include "filigree/kernel/score_tile.inl"
#include "filigree/kernel/append.inl"
#include "filigree/kernel/multiply.inl"
#include "filigree/kernel/attend.inl"
#include "filigree/kernel/attend_narrow.inl"
#include "filigree/kernel/decode.inl"
#include "filigree/kernel/select.inl"
#include "filigree/kernel/list_top_k.inl"
#include "filigree/kernel/philox.inl"
#include "filigree/kernel/prune.inl"
#include "filigree/kernel/simplex.inl"
#include "filigree/kernel/order_statistics.inl"
#include "filigree/kernel/pairwise.inl"
#include "filigree/kernel/dense_selection.inl"
#include "filigree/kernel/top_p.inl"
#include "filigree/kernel/sum.inl"
#include "filigree/kernel/power.inl"
#include "filigree/kernel/reduce.inl"
#include "filigree/kernel/step.inl"
// clang-format on
