// SPDX-License-Identifier: MIT
#pragma once

#include <ostream>
#include <string_view>

namespace filigree {

/// The engines that compute expressions. engine_of names the one of an expression.
enum class EngineKind {
  general,                     // applies the stages one after another to complete rows
  dense_rows,                  // applies the stages to dense rows, elementwise stages from the source to the target
  whole_matrix,                // dense rows, after a matrix stage has read all rows
  gathered,                    // computes only the scores of the keys that a query keeps
  selection,                   // appends scores above a bound to the candidates of each row
  selection_or_gathered,       // gathered if a pattern scatters the keys of a query, decided at evaluation
  online_softmax,              // multiplies tiles of weights by V, with a running maximum
  online_softmax_or_gathered,  // gathered if a pattern scatters the keys of a query, decided at evaluation
  strided_softmax,             // online softmax for each residue of the positions modulo the stride of a pattern
  partitioned_softmax,         // online softmax for each dense part of a pattern
  lazy_rows,                   // prefix sums of V for rows whose scores are all 0, online softmax for the other rows
};

/// Returns the name of an engine, such as "online softmax".
constexpr std::string_view name_of(EngineKind kind) {
  switch (kind) {
    case EngineKind::general: return "general";
    case EngineKind::dense_rows: return "dense rows";
    case EngineKind::whole_matrix: return "whole matrix";
    case EngineKind::gathered: return "gathered";
    case EngineKind::selection: return "selection";
    case EngineKind::selection_or_gathered: return "selection or gathered";
    case EngineKind::online_softmax: return "online softmax";
    case EngineKind::online_softmax_or_gathered: return "online softmax or gathered";
    case EngineKind::strided_softmax: return "strided softmax";
    case EngineKind::partitioned_softmax: return "partitioned softmax";
    case EngineKind::lazy_rows: return "lazy rows";
  }
  return "";
}

/// Prints the name of an engine.
inline std::ostream& operator<<(std::ostream& out, EngineKind kind) { return out << name_of(kind); }

}  // namespace filigree
