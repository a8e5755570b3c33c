/* What the C programs share: a check that goes on after it failed, the verdict, the resident memory. */
#ifndef CHECK_H
#define CHECK_H
#include <stdio.h>
#include <stdlib.h>

static int checks, failures;

#define CHECK(promise)                                                              \
    do {                                                                            \
        checks++;                                                                   \
        if (!(promise)) {                                                           \
            failures++;                                                             \
            printf("%s:%d: broken: %s\n", __FILE__, __LINE__, #promise);            \
        }                                                                           \
    } while (0)

static int verdict(void) {
    printf("%d checks, %d broken\n", checks, failures);
    return failures != 0;
}

/* Resident bytes of this process. Not from statm: its counters lag behind by a batch of pages for each
 * processor of the machine, which on a large one is more than the tests tell apart. */
static inline size_t resident(void) {
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    if (!file) abort();
    char line[256];
    size_t kib = 0;
    while (fgets(line, sizeof line, file) && sscanf(line, "Rss: %zu kB", &kib) != 1) {}
    fclose(file);
    return kib << 10;
}
#endif
