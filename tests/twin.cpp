// SPDX-License-Identifier: MIT
#include "twin.hpp"

namespace test {

template struct Words<float>;
template struct Words<double>;

}  // namespace test
