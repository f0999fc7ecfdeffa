// SPDX-License-Identifier: MIT
// Sparse encoders, compared with the bare product. Names contain the sizes: samples/width/latents/kept.

#include <cmath>
#include <memory>

#include "cases.hpp"
#include "context.hpp"
#include "encode.hpp"
#include "linear_layer.hpp"
#include "top_k_step.hpp"

int main(int argc, char** argv) {
  using namespace bench;
  constexpr Index n = 1024, d = 512, m = 8192, k = 32;
  const Matrix x = normal(n, d, 0), w = normal(d, m, 1) / std::sqrt(static_cast<float>(d));
  add_fma_peak();
  add("EncodeProduct/1024/512/8192", [&] { return std::make_unique<EncodeProduct>(x, w); });
  add("EncodeTopK/1024/512/8192/32", [&] { return std::make_unique<EncodeTopK>(x, w, k); });
  add("TopKStep/1024/512/8192/32", [&] { return std::make_unique<TopKStep>(x, w, k); });
  for (const Index width : {2048, 8192}) {
    const auto samples = std::make_shared<SparseRows>(sparse_samples(n, width, 100));
    const std::string sizes = "/1024/" + std::to_string(width) + "/512";
    add("LinearLayerDense" + sizes, [=] { return std::make_unique<LinearLayer<Matrix>>(*samples, 512); });
    add("LinearLayerSparse" + sizes, [=] { return std::make_unique<LinearLayer<SparseRows>>(*samples, 512); });
  }
  return run_benchmarks(argc, argv);
}
