// SPDX-License-Identifier: MIT
#pragma once

// Includes the file formats that depend on Eigen alone. Include the others by name: io/png.hpp (stb), io/json.hpp and
// io/safetensors.hpp (nlohmann-json), io/zlib.hpp.

#include "filigree/io/array.hpp"   // IWYU pragma: export
#include "filigree/io/arrays.hpp"  // IWYU pragma: export
#include "filigree/io/csv.hpp"     // IWYU pragma: export
#include "filigree/io/file.hpp"    // IWYU pragma: export
#include "filigree/io/npy.hpp"     // IWYU pragma: export
#include "filigree/io/npz.hpp"     // IWYU pragma: export
#include "filigree/io/pgm.hpp"     // IWYU pragma: export
#include "filigree/io/tiles.hpp"   // IWYU pragma: export
