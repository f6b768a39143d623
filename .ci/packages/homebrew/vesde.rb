# @...@ is set by .ci/release.
class Vesde < Formula
  desc "Samplers and torch's noise for score-based generative models"
  homepage "@REPOSITORY@"
  url "@REPOSITORY@/releases/download/v@VERSION@/vesde-@VERSION@.tar.gz"
  sha256 "@SHA256@"
  license any_of: ["MIT", "Apache-2.0"]

  depends_on "cmake" => :build
  depends_on "rust" => :build

  def install
    system "cmake", "-S", ".", "-B", "build", "-DBUILD_SHARED_LIBS=ON", *std_cmake_args
    system "cmake", "--build", "build"
    system "cmake", "--install", "build"
  end

  test do
    (testpath/"test.c").write <<~C
      #include <vesde.h>
      int main(void) {
        float noise[4];
        vesde_counter counter = {42, 0, 0};
        return vesde_counter_fill(counter, 4, noise) != VESDE_OK || noise[0] < 0.69f || noise[0] > 0.7f;
      }
    C
    system ENV.cc, "test.c", "-I#{include}", "-L#{lib}", "-lvesde", "-o", "test"
    system "./test"
  end
end
