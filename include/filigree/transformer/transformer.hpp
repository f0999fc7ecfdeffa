// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/transformer/attention.hpp"             // IWYU pragma: export
#include "filigree/transformer/cross_attention.hpp"       // IWYU pragma: export
#include "filigree/transformer/decoder.hpp"               // IWYU pragma: export
#include "filigree/transformer/embedding.hpp"             // IWYU pragma: export
#include "filigree/transformer/encoder_decoder.hpp"       // IWYU pragma: export
#include "filigree/transformer/feed_forward.hpp"          // IWYU pragma: export
#include "filigree/transformer/longformer_attention.hpp"  // IWYU pragma: export
#include "filigree/transformer/positions.hpp"             // IWYU pragma: export
#include "filigree/transformer/rotary.hpp"                // IWYU pragma: export
#include "filigree/transformer/sparse_transformer.hpp"    // IWYU pragma: export
#include "filigree/transformer/tensor_names.hpp"          // IWYU pragma: export
#include "filigree/transformer/tied_output.hpp"           // IWYU pragma: export
#include "filigree/transformer/transformer_layer.hpp"     // IWYU pragma: export
