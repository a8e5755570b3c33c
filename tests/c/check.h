/* What the C programs share: a check that goes on after it failed, and the verdict. */
#ifndef CHECK_H
#define CHECK_H
#include <stdio.h>

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
#endif
