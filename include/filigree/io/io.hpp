// SPDX-License-Identifier: MIT
#pragma once

// Files, as far as they need Eigen alone. By name: io/png.hpp (stb), io/safetensors.hpp (nlohmann-json), io/zlib.hpp.

#include "filigree/io/array.hpp"   // IWYU pragma: export
#include "filigree/io/arrays.hpp"  // IWYU pragma: export
#include "filigree/io/csv.hpp"     // IWYU pragma: export
#include "filigree/io/file.hpp"    // IWYU pragma: export
#include "filigree/io/npy.hpp"     // IWYU pragma: export
#include "filigree/io/npz.hpp"     // IWYU pragma: export
#include "filigree/io/pgm.hpp"     // IWYU pragma: export
#include "filigree/io/tiles.hpp"   // IWYU pragma: export
