/* Twelve agents in turn, on a device with memory for four. Each reads what it wrote in the round before and
 * writes anew; the engine moves their states by when each is next.
 *
 *   cc -I../include agents.c -L../../../target/release -lace_cuda -Wl,-rpath,../../../target/release -o agents
 *   ./agents                                          with NVIDIA's driver
 *   ./agents ../../../target/release/libace_fake_cuda.so    without a GPU
 */
#include "ace_cuda.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AGENTS = 12, PLACES = 4, ROUNDS = 6, BYTES = 4 << 20 };

static void must(AceCudaStatus status, const char *what) {
    if (status != ACE_CUDA_STATUS_OK) {
        fprintf(stderr, "%s: %s\n", what, ace_cuda_last_error());
        exit(1);
    }
}

/* What an agent has after so many rounds. */
static unsigned char contents(int agent, int rounds) { return (unsigned char)(agent * 16 + rounds); }

int main(int count, char **arguments) {
    struct AceCudaSettings settings = {.size = sizeof settings};
    settings.driver = count > 1 ? arguments[1] : NULL;
    settings.budget_bytes = (uint64_t)PLACES * BYTES;
    AceCudaEngine engine;
    must(ace_cuda_open(&settings, &engine), "open");

    static unsigned char buffer[BYTES];
    AceCudaState states[AGENTS];
    for (uint64_t agent = 0; agent < AGENTS; agent++) {
        struct AceCudaStateInfo info = {.size = sizeof info};
        info.id = agent;
        info.owners = &agent;
        info.owner_count = 1;
        info.bytes = BYTES;
        info.kind = ACE_CUDA_KIND_KV;
        info.contents = ACE_CUDA_CONTENTS_COPIED;
        info.host = memset(buffer, contents((int)agent, 0), BYTES);
        must(ace_cuda_register(engine, &info, &states[agent]), "register");
    }

    int wrong = 0;
    for (int step = 0; step < ROUNDS * AGENTS; step++) {
        int now = step % AGENTS, round = step / AGENTS;
        must(ace_cuda_step(engine, (uint64_t)step), "step");
        for (int agent = 0; agent < AGENTS; agent++) {
            int distance = (agent - now + AGENTS) % AGENTS;
            must(ace_cuda_expect(engine, (uint64_t)agent, ACE_CUDA_SOURCE_PLAN, distance), "expect");
        }
        AceCudaLease lease;
        must(ace_cuda_acquire(engine, (uint64_t)now, &states[now], 1, -1, &lease), "acquire");
        /* Here a program would launch its kernels on the state's address, and end the lease after them. */
        must(ace_cuda_copy_out(lease, states[now], 0, buffer, BYTES), "copy out");
        for (int at = 0; at < BYTES; at++) wrong += buffer[at] != contents(now, round);
        memset(buffer, contents(now, round + 1), BYTES);
        must(ace_cuda_copy_in(lease, states[now], 0, buffer, BYTES), "copy in");
        must(ace_cuda_end(lease), "end");
    }

    struct AceCudaStats stats = {.size = sizeof stats};
    must(ace_cuda_stats(engine, &stats), "stats");
    printf("%d steps, %llu hits, %llu misses, %llu evictions, %d wrong bytes\n", ROUNDS * AGENTS,
           (unsigned long long)stats.hits, (unsigned long long)stats.misses,
           (unsigned long long)stats.evictions, wrong);
    must(ace_cuda_close(engine), "close");
    return wrong != 0;
}
