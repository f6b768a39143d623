// The first program of a C++ user: the README's five lines of CMake build it.

#include <cstdio>
#include <vesde.hpp>

int main() {
    if (!vesde::header_matches_library()) {
        std::puts("the header is not the library's");
        return 1;
    }
    float noise[4];
    const vesde::status status = vesde::counter{42}.fill(noise);
    std::printf("%s: %.4f %.4f %.4f %.4f\n", vesde::message(status), noise[0], noise[1], noise[2], noise[3]);
    return status != vesde::status::ok;
}
