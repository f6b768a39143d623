// What a user's first program may be: is the library the header's, and does a fill work?

#include <stdio.h>
#include <vesde.h>

#ifdef OTHER
size_t other_length(uint32_t number);
#endif

int main(void) {
    float noise[4];
#ifdef OTHER
    if (other_length(12345) != 5) {
        puts("the other library does not work");
        return 1;
    }
#endif
    vesde_counter counter = {42, 0, 0};
    if (vesde_version() != (VESDE_VERSION_MAJOR << 16 | VESDE_VERSION_MINOR << 8 | VESDE_VERSION_PATCH)) {
        puts("the header is not the library's");
        return 1;
    }
    vesde_status status = vesde_counter_fill(counter, 4, noise);
    printf("%s: %.4f %.4f %.4f %.4f\n", vesde_status_message(status), noise[0], noise[1], noise[2], noise[3]);
    return status != VESDE_OK;
}
