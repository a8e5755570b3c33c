/* Forks while threads allocate: the child's heap works, whatever the other threads were doing. */
#define _GNU_SOURCE
#include "check.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 2, FORKS = 200, KEPT = 256 };
static atomic_int stop;

static void *busy(void *seed) {
    unsigned random = (unsigned)(size_t)seed;
    void *kept[KEPT] = {0};
    while (!atomic_load(&stop)) {
        random = random * 1103515245u + 12345u;
        unsigned slot = random >> 8 & (KEPT - 1);
        free(kept[slot]);
        size_t size = random >> 16 & 1 ? random >> 18 & 0x1FF : random >> 18;
        kept[slot] = malloc(size);
        memset(kept[slot], 1, size);
    }
    for (int i = 0; i < KEPT; i++) free(kept[i]);
    return NULL;
}

static void *young(void *unused) {
    (void)unused;
    void *p = malloc(5000);
    free(p);
    return p;
}

static int child(void *from_parent) {
    free(from_parent);
    void *kept[KEPT];
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < KEPT; i++) {
            kept[i] = malloc((size_t)i * 97);
            if (!kept[i]) return 1;
            memset(kept[i], 2, (size_t)i * 97);
        }
        for (int i = 0; i < KEPT; i++) free(kept[i]);
    }
    pthread_t thread;
    if (pthread_create(&thread, NULL, young, NULL) || pthread_join(thread, NULL)) return 2;
    return 0;
}

int main(void) {
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, busy, (void *)(i + 1));
    for (int i = 0; i < FORKS; i++) {
        void *block = malloc((size_t)i * 10 + 1);
        pid_t pid = fork();
        if (pid == 0) _exit(child(block));
        CHECK(pid > 0);
        free(block);
        int status = -1;
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    return verdict();
}
