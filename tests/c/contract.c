/* The C contract on glibc: every function of the malloc family, its edge sizes, errno, alignment. */
#define _GNU_SOURCE
#include "check.h"
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The compiler knows malloc too well: it would answer some of these questions itself. */
static void *(*volatile do_malloc)(size_t) = malloc;
static void *(*volatile do_calloc)(size_t, size_t) = calloc;
static void *(*volatile do_realloc)(void *, size_t) = realloc;
static void *(*volatile do_aligned_alloc)(size_t, size_t) = aligned_alloc;
static void *(*volatile do_memalign)(size_t, size_t) = memalign;
static int (*volatile do_posix_memalign)(void **, size_t, size_t) = posix_memalign;
static void (*volatile do_free)(void *) = free;

static void *(*volatile do_reallocarray)(void *, size_t, size_t) = reallocarray;
static void *(*volatile do_valloc)(size_t) = valloc;
static void *(*volatile do_pvalloc)(size_t) = pvalloc;

/* Functions that no header of Debian 12 declares. */
static void *find(const char *name) {
    void *found = dlsym(RTLD_DEFAULT, name);
    CHECK(found != NULL);
    if (!found) printf("no symbol %s\n", name);
    return found;
}

static int aligned(const void *p, size_t align) { return ((uintptr_t)p & (align - 1)) == 0; }

static int all(const unsigned char *p, size_t n, unsigned char c) {
    for (size_t i = 0; i < n; i++)
        if (p[i] != c) return 0;
    return 1;
}

static const size_t too_big[] = {SIZE_MAX,     SIZE_MAX - 15,           SIZE_MAX - 4095,
                                 PTRDIFF_MAX,  (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX - 4096,
                                 (size_t)1 << 60, (size_t)1 << 48};
#define TOO_BIG (sizeof too_big / sizeof too_big[0])

static void test_malloc(void) {
    void *a = do_malloc(0), *b = do_malloc(0);
    CHECK(a && b && a != b);
    do_free(a);
    do_free(b);
    for (size_t n = 0; n < 3000; n++) {
        char *p = do_malloc(n);
        CHECK(p && aligned(p, 16));
        memset(p, 0x5A, n);
        CHECK(malloc_usable_size(p) >= n);
        do_free(p);
    }
    for (size_t n = 4000; n < ((size_t)1 << 28); n = n * 3 / 2 + 1) {
        char *p = do_malloc(n);
        CHECK(p && aligned(p, 16));
        p[0] = p[n - 1] = 1;
        do_free(p);
    }
    for (size_t i = 0; i < TOO_BIG; i++) {
        errno = 0;
        CHECK(do_malloc(too_big[i]) == NULL && errno == ENOMEM);
    }
}

static void test_calloc(void) {
    for (int round = 0; round < 3; round++)
        for (size_t n = 1; n < 3000000; n = n * 7 / 5 + 1) {
            unsigned char *p = do_calloc(n, 1);
            CHECK(p && aligned(p, 16) && all(p, n, 0));
            memset(p, 0xFF, malloc_usable_size(p));
            do_free(p);
            p = do_malloc(n);
            memset(p, 0xEE, n);
            do_free(p);
        }
    unsigned char *p = do_calloc(7, 13);
    CHECK(p && all(p, 91, 0));
    do_free(p);
    CHECK((p = do_calloc(0, 5)) != NULL);
    do_free(p);
    CHECK((p = do_calloc(5, 0)) != NULL);
    do_free(p);
    size_t pairs[][2] = {{SIZE_MAX, 2},           {(size_t)1 << 32, (size_t)1 << 32},
                         {(size_t)1 << 63, 2},    {SIZE_MAX / 2 + 2, 2},
                         {3, SIZE_MAX / 2},       {PTRDIFF_MAX, 1}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        errno = 0;
        CHECK(do_calloc(pairs[i][0], pairs[i][1]) == NULL && errno == ENOMEM);
    }
}

static void test_realloc(void) {
    unsigned char *p = do_realloc(NULL, 100);
    CHECK(p && aligned(p, 16));
    memset(p, 1, 100);
    for (size_t n = 100, last = 100; n < ((size_t)1 << 27); n = n * 2 + 3) {
        p = do_realloc(p, n);
        CHECK(p && aligned(p, 16) && all(p, last < 4096 ? last : 4096, 1) && p[last - 1] == 1);
        p[n - 1] = 1;
        memset(p, 1, n < 4096 ? n : 4096);
        last = n;
    }
    errno = 0;
    for (size_t i = 0; i < TOO_BIG; i++) {
        errno = 0;
        CHECK(do_realloc(p, too_big[i]) == NULL && errno == ENOMEM && all(p, 4096, 1));
    }
    for (size_t n = (size_t)1 << 26; n > 0; n /= 3) {
        p = do_realloc(p, n);
        CHECK(p && all(p, n < 4096 ? n : 4096, 1));
    }
    errno = 77;
    CHECK(do_realloc(p, 0) == NULL && errno == 77);
    p = do_malloc(100);
    void *same = do_realloc(p, 101);
    CHECK(same == (void *)p);
    do_free(same);
    char *q = do_reallocarray(NULL, 10, 10);
    CHECK(q != NULL);
    errno = 0;
    CHECK(do_reallocarray(q, SIZE_MAX, 2) == NULL && errno == ENOMEM);
    do_free(q);
}

static void test_aligned(void) {
    for (int shift = 3; shift <= 33; shift++)
        for (size_t n = 0; n < 100000; n = n * 9 + 1) {
            void *p = (void *)1;
            errno = 55;
            int problem = do_posix_memalign(&p, (size_t)1 << shift, n);
            CHECK(errno == 55);
            CHECK(problem == 0 || (problem == ENOMEM && p == (void *)1 && shift > 24));
            if (problem == 0) {
                CHECK(p && aligned(p, (size_t)1 << shift) && malloc_usable_size(p) >= n);
                memset(p, 3, n);
                do_free(p);
            }
        }
    const size_t bad[] = {0, 1, 2, 4, 12, 24, 100, SIZE_MAX, ((size_t)1 << 40) + 8};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        void *p = (void *)1;
        CHECK(do_posix_memalign(&p, bad[i], 10) == EINVAL && p == (void *)1);
    }
    void *p = (void *)1;
    CHECK(do_posix_memalign(&p, 64, SIZE_MAX - 64) == ENOMEM && p == (void *)1);
    CHECK(do_posix_memalign(&p, (size_t)1 << 62, 1) == ENOMEM && p == (void *)1);
    for (size_t align = 1; align <= 1 << 22; align *= 2) {
        p = do_aligned_alloc(align, 100);
        CHECK(p && aligned(p, align) && aligned(p, 16));
        p = do_realloc(p, 5000);
        CHECK(p && aligned(p, 16));
        do_free(p);
        p = do_memalign(align, 1000);
        CHECK(p && aligned(p, align));
        do_free(p);
    }
    const size_t odd[] = {3, 12, 100, 4097};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        errno = 0;
        CHECK(do_aligned_alloc(odd[i], 100) == NULL && errno == EINVAL);
        errno = 0;
        CHECK(do_memalign(odd[i], 100) == NULL && errno == EINVAL);
    }
    errno = 0;
    CHECK(do_aligned_alloc(64, SIZE_MAX - 10) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(do_memalign(4096, (size_t)PTRDIFF_MAX + 1) == NULL && errno == ENOMEM);
}

static void test_pages(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t n = 0; n < 100000; n = n * 3 + 1) {
        char *p = valloc(n);
        CHECK(p && aligned(p, page) && malloc_usable_size(p) >= n);
        do_free(p);
        p = pvalloc(n);
        CHECK(p && aligned(p, page));
        CHECK(malloc_usable_size(p) >= ((n + page - 1) & ~(page - 1)));
        memset(p, 4, malloc_usable_size(p));
        do_free(p);
    }
    errno = 0;
    CHECK(do_pvalloc(SIZE_MAX - 5) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(do_valloc(SIZE_MAX - 5) == NULL && errno == ENOMEM);
}

static void test_free(void) {
    void (*free_sized)(void *, size_t) = find("free_sized");
    void (*free_aligned_sized)(void *, size_t, size_t) = find("free_aligned_sized");
    void (*cfree)(void *) = find("cfree");
    if (!free_sized || !free_aligned_sized || !cfree) return;
    for (size_t n = 1; n < ((size_t)1 << 27); n = n * 5 + 1) {
        void *p = do_malloc(n);
        errno = 1234;
        do_free(p);
        CHECK(errno == 1234);
    }
    errno = 1234;
    do_free(NULL);
    cfree(NULL);
    CHECK(errno == 1234);
    free_sized(do_malloc(100), 100);
    free_sized(NULL, 0);
    free_aligned_sized(do_aligned_alloc(64, 128), 64, 128);
    cfree(do_malloc(10));
    /* More than a magazine and a depot hold, freed in an order that nobody expects. */
    enum { MANY = 20000 };
    static void *kept[MANY];
    for (size_t i = 0; i < MANY; i++) kept[i] = do_malloc(i % 700);
    for (size_t i = 0; i < MANY; i++) do_free(kept[i * 7919 % MANY]);
}

static void test_usable_size(void) {
    CHECK(malloc_usable_size(NULL) == 0);
    for (size_t n = 0; n < 3000000; n = n * 5 / 4 + 1) {
        char *p = do_malloc(n);
        size_t usable = malloc_usable_size(p);
        CHECK(usable >= n && malloc_usable_size(p) == usable);
        memset(p, 9, usable);
        CHECK(malloc_usable_size(p) == usable);
        do_free(p);
    }
}

static void test_our_heap_is_reported_and_trimmed(void) {
    enum { BLOCKS = 60000, BYTES = 2000 };
    static void *kept[BLOCKS];
    size_t before = mallinfo2().uordblks;
    for (size_t i = 0; i < BLOCKS; i++) memset(kept[i] = do_malloc(BYTES), 1, BYTES);
    size_t full = mallinfo2().uordblks;
    CHECK(full - before >= (size_t)BLOCKS * BYTES && full - before < (size_t)BLOCKS * BYTES * 2);
    size_t resident_full = resident();
    for (size_t i = 0; i < BLOCKS; i++) do_free(kept[i]);
    malloc_trim(0);
    CHECK(resident_full - resident() > (size_t)BLOCKS * BYTES * 9 / 10);
    CHECK(mallinfo2().uordblks < before + ((size_t)1 << 20));
    CHECK((size_t)mallinfo().uordblks < before + ((size_t)1 << 20));
    CHECK(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 0 || mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1);
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    CHECK(malloc_info(0, file) == 0);
    fclose(file);
    CHECK(length > 20 && strstr(text, "<malloc") != NULL);
    do_free(text);
    errno = 0;
    CHECK(malloc_info(1, stdout) != 0);
    malloc_stats();
}

static void test_old_names(void) {
    void *(*libc_malloc)(size_t) = find("__libc_malloc");
    void *(*libc_calloc)(size_t, size_t) = find("__libc_calloc");
    void *(*libc_realloc)(void *, size_t) = find("__libc_realloc");
    void *(*libc_memalign)(size_t, size_t) = find("__libc_memalign");
    void *(*libc_valloc)(size_t) = find("__libc_valloc");
    void *(*libc_pvalloc)(size_t) = find("__libc_pvalloc");
    int (*libc_posix_memalign)(void **, size_t, size_t) = find("__posix_memalign");
    void (*libc_free)(void *) = find("__libc_free");
    if (failures) return;
    char *p = libc_malloc(10);
    CHECK(p != NULL);
    p = libc_realloc(p, 1000);
    CHECK(p != NULL);
    do_free(p);
    p = libc_calloc(10, 10);
    CHECK(p && all((unsigned char *)p, 100, 0));
    libc_free(p);
    p = libc_memalign(256, 10);
    CHECK(p && aligned(p, 256));
    do_free(p);
    do_free(libc_valloc(10));
    do_free(libc_pvalloc(10));
    void *q = NULL;
    CHECK(libc_posix_memalign(&q, 512, 10) == 0 && aligned(q, 512));
    libc_free(q);
    /* glibc's own callers must come to the same heap. */
    char *copy = strdup("a string");
    char *line = NULL;
    CHECK(asprintf(&line, "%s of %d", copy, 8) == 13);
    do_free(copy);
    do_free(line);
}

int main(void) {
    test_malloc();
    test_calloc();
    test_realloc();
    test_aligned();
    test_pages();
    test_free();
    test_usable_size();
    test_our_heap_is_reported_and_trimmed();
    test_old_names();
    return verdict();
}
