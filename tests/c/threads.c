/* Threads that come and go: small stacks, key destructors that allocate, blocks freed by others,
 * threads that only free. Resident memory must not grow with the number of threads that have died. */
#define _GNU_SOURCE
#include "check.h"
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_key_t keys[40];

static void allocates(void *value) {
    free(value);
    void *late = malloc(333);
    memset(late, 1, 333);
    free(late);
}

static void *short_life(void *block) {
    for (size_t i = 0; i < 40; i += 13) pthread_setspecific(keys[i], malloc(50 + i));
    free(block);
    void *kept[64];
    for (size_t i = 0; i < 64; i++) memset(kept[i] = malloc(i * 40), 1, i * 40);
    for (size_t i = 0; i < 64; i++) free(kept[i]);
    return malloc(200);
}

static void *only_frees(void *blocks) {
    for (void **block = blocks; *block; block++) free(*block);
    return NULL;
}

static void generations(int count) {
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN);
    for (int i = 0; i < count; i++) {
        pthread_t threads[8];
        void *left;
        for (int j = 0; j < 8; j++)
            CHECK(pthread_create(&threads[j], &small, short_life, malloc(100)) == 0);
        for (int j = 0; j < 8; j++) {
            CHECK(pthread_join(threads[j], &left) == 0);
            free(left);
        }
    }
}

int main(void) {
    for (size_t i = 0; i < 40; i++) pthread_key_create(&keys[i], allocates);
    generations(900);
    /* How many of eight threads overlap is the scheduler's choice, and with it how many heaps there are
     * and how many pages they touch: some MiB, then no more. A page lost a thread would be 94 MiB. */
    size_t early = resident();
    generations(3000);
    CHECK(resident() < early + ((size_t)8 << 20));

    enum { BLOCKS = 100000 };
    static void *blocks[BLOCKS + 1];
    size_t before = resident();
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < BLOCKS; i++) memset(blocks[i] = malloc(300), 1, 300);
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, only_frees, blocks) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    CHECK(resident() < before + (size_t)BLOCKS * 300 * 2);
    return verdict();
}
