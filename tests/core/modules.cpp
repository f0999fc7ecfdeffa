// SPDX-License-Identifier: MIT
// Tests that a shared library compiled with OpenMP does not change the default executor of others in the same process.
#include <dlfcn.h>

#include <filigree/attention/attention.hpp>

#include "catch.hpp"

namespace fg = filigree;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

namespace {

class Module {
 public:
  explicit Module(const char* path, int flags) : handle_(::dlopen(path, RTLD_NOW | flags)) {
    INFO(::dlerror());
    REQUIRE(handle_ != nullptr);
  }
  ~Module() { ::dlclose(handle_); }
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  [[nodiscard]] Eigen::Index concurrency() const { return call<Eigen::Index>("concurrency"); }
  [[nodiscard]] float compute() const { return call<float>("compute"); }

 private:
  template <class Result>
  [[nodiscard]] Result call(const char* name) const {
    return reinterpret_cast<Result (*)()>(::dlsym(handle_, name))();
  }

  void* handle_;
};

float compute_here() {
  const Matrix q = Matrix::Constant(40, 8, 0.5F), v = Matrix::Ones(90, 4);
  const Matrix out = (fg::scores(q, Matrix::Constant(90, 8, 0.25F)) | fg::softmax()) * v;
  return out.sum();
}

}  // namespace

TEST_CASE("each shared library has its own default executor") {
  REQUIRE(fg::ExecutorRef().concurrency() == 1);
  for (const int flags : {RTLD_LOCAL, RTLD_GLOBAL}) {
    const Module plain(PLAIN_MODULE, flags);
    {
      const Module openmp(OPENMP_MODULE, flags);
      CHECK(openmp.concurrency() == 4);
      CHECK(plain.concurrency() == 1);
      CHECK(fg::ExecutorRef().concurrency() == 1);
      CHECK(openmp.compute() == plain.compute());
    }
    CHECK(plain.concurrency() == 1);
    CHECK(plain.compute() == compute_here());
  }
  CHECK(fg::ExecutorRef().concurrency() == 1);
}
