/* An allocator that breaks the promise that BROKEN names, now and then, and serves all else from the one
 * that is loaded behind it. `ace soak` must find each. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *broken = "";
static _Thread_local unsigned calls;
static _Thread_local char *kept;
static atomic_int forked;

static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }
/* The library behind is looked up once a function; every thread finds the same. */
#define NEXT(type, name)                                                                                    \
    static type(*_Atomic behind);                                                                           \
    if (!behind) behind = (type(*))next(name)

static int breaks(const char *promise) { return !strcmp(broken, promise); }
static int now_and_then(void) { return ++calls % 1000 == 0; }

static void in_child(void) { atomic_store(&forked, 1); }

__attribute__((constructor)) static void begin(void) {
    const char *named = getenv("BROKEN");
    if (named) broken = named;
    pthread_atfork(NULL, NULL, in_child);
}

typedef void *malloc_type(size_t);
typedef void *calloc_type(size_t, size_t);
typedef void *realloc_type(void *, size_t);
typedef void free_type(void *);
typedef int posix_memalign_type(void **, size_t, size_t);

void *malloc(size_t size) {
    NEXT(malloc_type, "malloc");
    if (breaks("forked child") && atomic_load(&forked)) for (;;) pause();
    if (breaks("progress") && now_and_then()) for (;;) pause();
    if (breaks("memory") && now_and_then()) return NULL;
    if (breaks("content") && size >= 64 && size < 512) {
        /* A byte of a block that was handed out shortly before. */
        if (now_and_then()) kept[20] ^= 1;
        else if (calls % 1000 == 995) return kept = behind(size);
    }
    if (breaks("uniqueness") && size == 100) {
        static _Thread_local char *twice;
        char *block = twice ? twice : behind(size);
        twice = twice ? NULL : block;
        return block;
    }
    char *block = behind(size + (breaks("alignment") ? 16 : 0));
    return breaks("alignment") && now_and_then() ? block + 8 : block;
}

void *calloc(size_t count, size_t size) {
    NEXT(calloc_type, "calloc");
    char *block = behind(count, size);
    if (breaks("zero") && block && count * size > 100 && now_and_then()) block[99] = 1;
    return block;
}

void *realloc(void *block, size_t size) {
    NEXT(realloc_type, "realloc");
    char *moved = behind(block, size);
    if (breaks("kept content") && moved && size > 0 && now_and_then()) moved[0] ^= 1;
    return moved;
}

void free(void *block) {
    NEXT(free_type, "free");
    if (breaks("free") && now_and_then()) return;
    behind(block);
}

int posix_memalign(void **block, size_t align, size_t size) {
    NEXT(posix_memalign_type, "posix_memalign");
    return behind(block, align, size);
}
