// SPDX-License-Identifier: MIT
#pragma once
#include "filigree/pipe/ranges.hpp"
