/* Fills 256 MiB, frees all but a hundredth, and sleeps: what a tender does about it.
 * tended stays    nobody gives the memory back while the program sleeps
 * tended falls    somebody does, and that thread takes no signals
 * tended forks    the same in a child that was forked while there was a tender
 * tended leaves   the main thread goes; the process ends with the last thread of the program */
#define _GNU_SOURCE
#include "check.h"
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCK = 256, BLOCKS = (256 << 20) / BLOCK, KEPT_OF = 100 };
static void **blocks;

/* A short file of the kernel, without stdio: that would call malloc. */
static char text[4096];
static const char *file(const char *path) {
    int fd = open(path, O_RDONLY);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    text[got > 0 ? got : 0] = 0;
    return text;
}

static size_t resident_now(void) {
    const char *line = strstr(file("/proc/self/smaps_rollup"), "Rss:");
    return line ? strtoul(line + 4, NULL, 10) << 10 : (size_t)-1;
}

static void doze(void) { usleep(20000); }

/* Bytes that are in use afterwards: what was before, and what is kept. */
static size_t fill_and_free(void) {
    size_t before = resident_now();
    for (int i = 0; i < BLOCKS; i++) memset(blocks[i] = malloc(BLOCK), 1, BLOCK);
    CHECK(resident_now() > before + (250u << 20));
    for (int i = 0; i < BLOCKS; i++)
        if (i >= BLOCKS / KEPT_OF) free(blocks[i]);
    return before + (size_t)BLOCKS * sizeof *blocks + (256u << 20) / KEPT_OF;
}

/* Waits for long, because other machines are slower, for a tight bound in bytes. */
static int falls_to(size_t live) {
    size_t bound = live + live / 10 + (8u << 20);
    for (int i = 0; i < 3000; i++, doze())
        if (resident_now() <= bound) return 1;
    printf("resident %zu, allowed %zu\n", resident_now(), bound);
    return 0;
}

/* The signal mask of the thread of this name, or 0 while there is none. */
static unsigned long long mask_of(const char *name) {
    unsigned long long mask = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        char path[300];
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
        if (strncmp(file(path), name, strlen(name))) continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        const char *line = strstr(file(path), "SigBlk:");
        if (line) mask = strtoull(line + 7, NULL, 16);
    }
    if (tasks) closedir(tasks);
    return mask;
}

static void *work(void *unused) {
    (void)unused;
    fill_and_free();
    return NULL;
}

int main(int count, char **words) {
    const char *what = count > 1 ? words[1] : "";
    blocks = malloc((size_t)BLOCKS * sizeof *blocks);
    memset(blocks, 1, (size_t)BLOCKS * sizeof *blocks);
    if (!strcmp(what, "leaves")) {
        pthread_t thread;
        pthread_create(&thread, NULL, work, NULL);
        printf("0 checks, 0 broken\n");
        fflush(stdout);
        pthread_exit(NULL);
    }
    size_t live = fill_and_free();
    if (!strcmp(what, "stays")) {
        for (int i = 0; i < 50; i++) doze();
        CHECK(resident_now() > 48u << 20);
        CHECK(mask_of("ace-tender") == 0);
        return verdict();
    }
    CHECK(falls_to(live));
    /* All signals but the two that nobody can block, and two that the C library keeps. */
    CHECK((mask_of("ace-tender") | 0x40100ull | 0x180000000ull) == ~0ull);
    if (!strcmp(what, "forks")) {
        pid_t child = fork();
        if (child == 0) {
            int alone = mask_of("ace-tender") == 0;
            for (int i = 0; i < BLOCKS / KEPT_OF; i++) free(blocks[i]);
            live = fill_and_free();
            CHECK(alone && falls_to(live) && mask_of("ace-tender") != 0);
            exit(verdict());
        }
        int status = 1;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    return verdict();
}
