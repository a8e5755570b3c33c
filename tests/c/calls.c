/* A known number of calls, for the report that counts them. */
#define _GNU_SOURCE
#include <malloc.h>
#include <stdlib.h>

int main(void) {
    free(NULL); /* is no free */
    for (int i = 0; i < 100000; i++) {
        free(malloc(64));
    }
    for (int i = 0; i < 20; i++) {
        free(malloc(1 << 20));
    }
    for (int i = 0; i < 300; i++) {
        free(calloc(10, 10));
    }
    for (int i = 0; i < 100; i++) {
        free(memalign(64, 100));
        free(aligned_alloc(4096, 128 << 10));
    }
    for (int i = 0; i < 50; i++) {
        void *block = calloc(1, 100);
        block = realloc(block, 100);  /* stays */
        block = realloc(block, 1000); /* moves */
        block = realloc(block, 0);    /* frees */
        if (block != NULL) {
            return 1;
        }
    }
    return 0;
}
