// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "filigree/nn/batch.hpp"
#include "filigree/nn/train/fingerprint.hpp"

namespace filigree::detail {

/// The memory of some sequences in a step of fit.
template <class M>
struct StepMemory {
  SelectedRows<M> tokens;
  std::vector<Index> lengths;
};

/// The memory of all sequences in fit.
template <class M>
class TrainingMemory {
 public:
  TrainingMemory(const M& rows, Slice<Index> lengths) : rows_(rows), lengths_(lengths) {
    for (Index s = 0, begin = 0; s < lengths.size(); begin += lengths[s++]) begins_.push_back(begin);
  }

  /// Returns the memory of the sequences with the given numbers. It is valid until the next call.
  StepMemory<M> of(const Index* sequences, Index count) {
    std::vector<Index> lengths;
    order_.clear();
    for (Index s = 0; s < count; ++s) {
      const Index length = lengths_[sequences[s]], begin = begins_[static_cast<std::size_t>(sequences[s])];
      lengths.push_back(length);
      for (Index i = 0; i < length; ++i) order_.push_back(begin + i);
    }
    return {{rows_, order_.data(), static_cast<Index>(order_.size())}, std::move(lengths)};
  }
  // Describes the memory in a checkpoint.
  [[nodiscard]] std::string text() const { return ", memory " + samples_text(rows_, rows_) + lengths_text(lengths_); }

 private:
  const M& rows_;
  Slice<Index> lengths_;
  std::vector<Index> begins_, order_;
};

/// No memory.
struct NoTrainingMemory {
  [[nodiscard]] static std::string text() { return ""; }
};

}  // namespace filigree::detail
