/* Opens the library at run time, uses it beside the program's own malloc, closes it, uses it again. */
#define _GNU_SOURCE
#include "check.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef void *(*malloc_function)(size_t);
typedef void (*free_function)(void *);
static malloc_function ace_malloc;
static free_function ace_free;

static void *in_a_thread(void *unused) {
    (void)unused;
    for (int i = 0; i < 10000; i++) {
        char *p = ace_malloc((size_t)i % 3000);
        memset(p, 1, (size_t)i % 3000);
        ace_free(p);
    }
    return ace_malloc(77);
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        printf("%s\n", dlerror());
        return 1;
    }
    ace_malloc = (malloc_function)dlsym(library, "malloc");
    ace_free = (free_function)dlsym(library, "free");
    CHECK(ace_malloc && ace_free && ace_malloc != malloc);
    void *ours = ace_malloc(100), *theirs = malloc(100);
    CHECK(ours && theirs);
    ace_free(ours);
    free(theirs);
    pthread_t thread;
    void *left = NULL;
    CHECK(pthread_create(&thread, NULL, in_a_thread, NULL) == 0);
    CHECK(pthread_join(thread, &left) == 0 && left);
    ace_free(left);
    /* dlclose must not take away the text that threads will run when they end. */
    CHECK(dlclose(library) == 0);
    CHECK(pthread_create(&thread, NULL, in_a_thread, NULL) == 0);
    CHECK(pthread_join(thread, &left) == 0 && left);
    ace_free(left);
    return verdict();
}
