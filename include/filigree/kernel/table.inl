// SPDX-License-Identifier: MIT
// What the rest of the library calls of this level.

inline constexpr Kernels<Real> table{.lanes = lanes,
                                     .width = width,
                                     .height = height,
                                     .score_panel = score_panel,
                                     .append_panel = append_panel,
                                     .append_scores = append_scores,
                                     .thin = thin,
                                     .thin_rows = thin_rows,
                                     .take_best = take_best,
                                     .softmax = softmax,
                                     .gather = gather};
