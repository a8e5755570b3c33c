/* Little address space: the library starts, malloc answers NULL with ENOMEM, and recovers. */
#define _GNU_SOURCE
#include "check.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1 << 20 };
static void *kept[MOST];

static size_t fill(size_t bytes) {
    size_t count = 0;
    errno = 0;
    while (count < MOST && (kept[count] = malloc(bytes))) memset(kept[count++], 1, bytes);
    CHECK(count == MOST || errno == ENOMEM);
    return count;
}

int main(void) {
    const size_t sizes[] = {100, 1000, 20000, 300000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t first = fill(sizes[i]);
        CHECK(first > 0);
        for (size_t j = 0; j < first; j++) free(kept[j]);
        size_t again = fill(sizes[i]);
        CHECK(again * 100 >= first * 97);
        for (size_t j = 0; j < again; j++) free(kept[j]);
    }
    return verdict();
}
