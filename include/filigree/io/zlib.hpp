// SPDX-License-Identifier: MIT
#pragma once

// Needs zlib (zlib1g-dev in Debian), so filigree.hpp does not include this header; the program links -lz.

#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>

#include "filigree/core/check.hpp"
#include "filigree/io/bytes.hpp"

namespace filigree {

/// A codec for compressed .npz files: load_npz(path, zlib{}), save_npz(path, arrays, zlib{.level = 9}).
///
/// Throws     Error if the level is not in 0 (fast) to 9 (small)
struct zlib {
  int level = 6;

  // Decompresses a deflate stream without a header until `to` is full. Returns true if the stream consists of all bytes
  // of `from` and decompresses to exactly the bytes of `to`.
  [[nodiscard]] bool inflate(std::span<const std::byte> from, std::span<std::byte> to) const {
    z_stream state{};
    detail::require(::inflateInit2(&state, -MAX_WBITS) == Z_OK, "zlib{}: inflate cannot start");
    const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&state, ::inflateEnd);
    int result = Z_OK;
    while (result == Z_OK) {
      refill(state, from, to);
      result = ::inflate(&state, Z_NO_FLUSH);
    }
    return result == Z_STREAM_END && state.avail_in == 0 && from.empty() && state.avail_out == 0 && to.empty();
  }

  // Compresses bytes to a deflate stream without a header.
  [[nodiscard]] Bytes deflate(std::span<const std::byte> from) const {
    detail::require(level >= 0 && level <= 9, "zlib{level}: level must be from 0 to 9, got ", level);
    z_stream state{};
    const int started = ::deflateInit2(&state, level, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    detail::require(started == Z_OK, "zlib{}: deflate cannot start");
    const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&state, ::deflateEnd);
    const Bytes buffer = Bytes::filled(::deflateBound(&state, from.size()), [&](std::span<std::byte> to) {
      int result = Z_OK;
      while (result == Z_OK) {
        refill(state, from, to);
        result = ::deflate(&state, from.empty() ? Z_FINISH : Z_NO_FLUSH);
      }
      detail::require(result == Z_STREAM_END, "zlib{}: deflate fails");
    });
    return buffer.slice(0, state.total_out);
  }

 private:
  /// Passes zlib the next parts of input and output, since it counts bytes in 32 bits.
  static void refill(z_stream& state, std::span<const std::byte>& from, std::span<std::byte>& to) {
    constexpr std::size_t max_size = std::size_t{1} << 30;
    if (state.avail_in == 0) {
      const auto next = from.first((std::min)(from.size(), max_size));
      // zlib does not write to the input.
      state.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(next.data()));
      state.avail_in = static_cast<uInt>(next.size());
      from = from.subspan(next.size());
    }
    if (state.avail_out == 0) {
      const auto next = to.first((std::min)(to.size(), max_size));
      state.next_out = reinterpret_cast<Bytef*>(next.data());
      state.avail_out = static_cast<uInt>(next.size());
      to = to.subspan(next.size());
    }
  }
};

}  // namespace filigree
