// SPDX-License-Identifier: MIT
// What the rest of the library calls of this level.

inline constexpr Kernels<Real> table{.lanes = lanes,
                                     .width = width,
                                     .height = height,
                                     .pack_panel = pack_panel,
                                     .pack_group = pack_group,
                                     .score_panel = score_panel,
                                     .append_panel = append_panel,
                                     .append_scores = append_scores,
                                     .list_above = list_above,
                                     .keep_above = keep_above,
                                     .thin = thin,
                                     .thin_rows = thin_rows,
                                     .guess_rows = guess_rows,
                                     .take_best = take_best,
                                     .softmax = softmax,
                                     .all_finite = all_finite,
                                     .attend_panel = attend_panel,
                                     .attend_scores = attend_scores,
                                     .merge_sums = merge_sums,
                                     .finish_row = finish_row,
                                     .gather = gather};
